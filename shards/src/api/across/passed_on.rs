//! How many produce requests of a shard are on their way to others: a shard that stops waits for their
//! answers, as what they brought is stored.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::io::Io;

/// How long a stop waits for another shard's answers: that may have stopped before it took them.
const PATIENCE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Clone, Default)]
pub struct PassedOn(Rc<Cell<usize>>);

/// One of them, until it is dropped.
pub struct OnItsWay(PassedOn);

impl PassedOn {
    /// One more.
    pub fn one(&self) -> OnItsWay {
        self.0.set(self.0.get() + 1);
        OnItsWay(self.clone())
    }

    /// Waits until there are none, but not for long. The shard takes no more.
    pub async fn answered(&self, io: &Io) {
        let mut looks = PATIENCE.as_millis() / LOOK.as_millis();
        while self.0.get() > 0 && looks > 0 {
            looks -= 1;
            io.sleep(LOOK).await;
        }
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        let count = &self.0.0;
        count.set(count.get() - 1);
    }
}
