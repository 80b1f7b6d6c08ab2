//! The end of a transaction, asked for until there is an answer.

// Where the oracle is borrowed, it is dropped by hand before the next await.
#![allow(clippy::await_holding_refcell_ref)]

use crate::client::Lost;
use crate::ledger::Txn;
use crate::requests::TRANSACTION;
use crate::site::{Links, Site};
use crate::story;
use crate::transactional::{self, Identity, Protocol};
use crate::transactor::{Step, Transactor, coordinator_of, step_of};

const CONCURRENT_TRANSACTIONS: i16 = 51;
const TRIES: u32 = 10;

/// Of a transaction that the coordinator has ended the other way, its time being over.
const INVALID_TXN_STATE: i16 = 48;

fn step_of_end(error: i16) -> Step {
    match error {
        INVALID_TXN_STATE => Step::Over,
        error => step_of(error, "EndTxn"),
    }
}

/// See the module.
pub struct Ending {
    pub identity: Identity,
    pub txn: Txn,
    pub commit: bool,
    /// A request was sent that may have been carried out, or may be yet.
    pub maybe: bool,
    /// Its producer goes on as it is.
    pub stays: bool,
}

/// Asks for the end, again and again where no answer comes, or one that says nothing.
pub async fn end(site: &Site, me: &mut Transactor, links: &mut Links) -> Result<Step, Lost> {
    for _ in 0..TRIES {
        let Some(ending) = &mut me.ending else {
            return Ok(Step::Done);
        };
        let (who, txn, commit) = (ending.identity.clone(), ending.txn, ending.commit);
        let found = coordinator_of(site, links, &mut me.rng, TRANSACTION, &who.transactional_id);
        let Some(shard) = found.await? else {
            return Ok(Step::Later);
        };
        let before = std::mem::replace(&mut ending.maybe, true);
        let ended = transactional::end(links.to(shard).await?, &who, commit).await?;
        story::tell(
            site.world.now(),
            format_args!(
                "{} ends transaction {txn} as producer {} epoch {}, commit {commit}: {ended:?}",
                who.transactional_id, who.producer, who.epoch
            ),
        );
        let mut oracle = site.oracle.borrow_mut();
        match ended {
            Ok((producer, epoch)) => {
                oracle.ledger.ended(txn, commit);
                let ending = me.ending.take();
                if ending.is_some_and(|ending| ending.stays) {
                    let sequences = match who.protocol {
                        Protocol::Asking => who.sequences.clone(),
                        Protocol::Joining => Default::default(),
                    };
                    me.identity = Some(Identity {
                        producer,
                        epoch,
                        sequences,
                        ..who
                    });
                }
                return Ok(Step::Done);
            }
            Err(error) => match step_of_end(error) {
                Step::Over => {
                    if !before {
                        oracle.ledger.refused(txn);
                        me.lapsed += 1;
                    }
                    me.ending = None;
                    return Ok(Step::Done);
                }
                _ if error == CONCURRENT_TRANSACTIONS => ending.maybe = before,
                _ => {}
            },
        }
        drop(oracle);
        site.pause(&mut me.rng, 3_000).await;
    }
    Ok(Step::Later)
}
