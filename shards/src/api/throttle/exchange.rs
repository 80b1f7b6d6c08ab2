//! Shards tell each other what clients have used.

use std::rc::Rc;
use std::sync::Arc;

use crate::api::Broker;
use crate::quotas::EXCHANGE;

/// How often it is asked who is idle, nanoseconds.
const LOOK_NS: u64 = 1_000_000_000;

/// Tells the other shards what was used here, and forgets who is idle; sleeps where nobody uses
/// anything that is limited.
pub async fn exchange_forever(broker: Rc<Broker>) {
    let (io, quotas) = (&broker.io, &broker.quotas);
    loop {
        quotas.stirred.raised().await;
        let mut looked = io.now();
        loop {
            io.sleep(EXCHANGE).await;
            let news = quotas.book.borrow_mut().tell();
            if !news.is_empty() {
                let news = Arc::new(news);
                for shard in (0..broker.shards()).filter(|shard| *shard != broker.shard) {
                    let news = news.clone();
                    let hear = move |_: &_, there: Rc<Broker>| {
                        let (quotas, now) = (&there.quotas, there.io.now());
                        quotas.book.borrow_mut().hear(&news, now);
                        quotas.stirred.raise();
                    };
                    broker.mail.send(io, shard, hear).await;
                }
            }
            if io.now().saturating_sub(looked) >= LOOK_NS {
                looked = io.now();
                if !quotas.book.borrow_mut().forget_idle(looked) {
                    break;
                }
            }
        }
    }
}
