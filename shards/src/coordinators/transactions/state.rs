//! The states of a transactional id.
//!
//! Source: Kafka `TransactionState`.

/// See the module. Kafka's PrepareEpochFence is no state here: the fence and the abort that follows
/// it are one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
    Dead,
}

/// Every name that a client may ask for, PrepareEpochFence included.
const NAMES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

impl State {
    /// As it stands in the log.
    pub fn id(self) -> i8 {
        match self {
            State::Empty => 0,
            State::Ongoing => 1,
            State::PrepareCommit => 2,
            State::PrepareAbort => 3,
            State::CompleteCommit => 4,
            State::CompleteAbort => 5,
            State::Dead => 6,
        }
    }

    pub fn of_id(id: i8) -> Option<State> {
        Some(match id {
            0 => State::Empty,
            1 => State::Ongoing,
            2 => State::PrepareCommit,
            3 => State::PrepareAbort,
            4 => State::CompleteCommit,
            5 => State::CompleteAbort,
            6 => State::Dead,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        NAMES[self.id() as usize]
    }

    /// Whether Kafka has a state of this name.
    pub fn is_name(name: &str) -> bool {
        NAMES.contains(&name)
    }

    /// The decision is made, and markers are on their way.
    pub fn is_prepared(self) -> bool {
        matches!(self, State::PrepareCommit | State::PrepareAbort)
    }

    /// No transaction is open and none is being ended.
    pub fn is_settled(self) -> bool {
        matches!(
            self,
            State::Empty | State::CompleteCommit | State::CompleteAbort
        )
    }

    /// Whether one may follow the other.
    pub fn may_become(self, next: State) -> bool {
        match next {
            State::Empty => self.is_settled(),
            State::Ongoing => self.is_settled() || self == State::Ongoing,
            State::PrepareCommit => self == State::Ongoing,
            State::PrepareAbort => self.is_settled() || self == State::Ongoing,
            State::CompleteCommit => self == State::PrepareCommit,
            State::CompleteAbort => self == State::PrepareAbort,
            State::Dead => self.is_settled(),
        }
    }
}
