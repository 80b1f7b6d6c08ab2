//! The thread that tells the coordinator that a member lives, also while records are printed.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use odradek_wire::ErrorCode;
use odradek_wire::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use crate::client::{ClientError, Connection, check};

/// What the coordinator has said, other than that all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Join again: members come or go.
    Rebalance,
    /// The group has gone on without this member.
    Expelled,
    /// The coordinator is elsewhere, or gone.
    CoordinatorLost,
}

impl Verdict {
    /// What an error means for the membership; none for those that have nothing to do with it.
    pub fn of(error: &ClientError) -> Option<Self> {
        match error.code() {
            Some(ErrorCode::RebalanceInProgress) => Some(Self::Rebalance),
            Some(
                ErrorCode::UnknownMemberId
                | ErrorCode::IllegalGeneration
                | ErrorCode::FencedInstanceId,
            ) => Some(Self::Expelled),
            Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => {
                Some(Self::CoordinatorLost)
            }
            Some(_) => None,
            None => error.retriable().then_some(Self::CoordinatorLost),
        }
    }
}

/// Beats until it is dropped or the coordinator has said something else than that all is well.
pub(super) struct Heartbeat {
    verdict: Arc<Mutex<Option<Verdict>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts the thread. `connection` leads to the coordinator and is used for nothing else.
    pub fn start(
        mut connection: Connection,
        group: String,
        member: String,
        generation: i32,
        interval: Duration,
    ) -> Self {
        let verdict = Arc::new(Mutex::new(None));
        let (stop, stopped) = mpsc::channel::<()>();
        let told = verdict.clone();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = beat(&mut connection, &group, &member, generation) {
                    // An error unknown here is best left to the next join to explain.
                    let verdict = Verdict::of(&error).unwrap_or(Verdict::Rebalance);
                    tracing::debug!("group {group}: {error}: {verdict:?}");
                    *told.lock().expect("nobody panics holding it") = Some(verdict);
                    return;
                }
            }
        });
        Self {
            verdict,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// What has been said, if anything.
    pub fn verdict(&self) -> Option<Verdict> {
        *self.verdict.lock().expect("nobody panics holding it")
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A heartbeat on its way is waited for, at most its connection's timeout.
            let _ = thread.join();
        }
    }
}

fn beat(
    connection: &mut Connection,
    group: &str,
    member: &str,
    generation: i32,
) -> Result<(), ClientError> {
    let request = HeartbeatRequest {
        group_id: group,
        generation_id: generation,
        member_id: member,
        group_instance_id: None,
    };
    let reply = connection.call(&request)?;
    let response: HeartbeatResponse = reply.read()?;
    check(response.error_code, None, || {
        format!("heartbeat of group {group}")
    })
}
