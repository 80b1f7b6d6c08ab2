//! A fetch whose partitions belong to several shards: each owner plans its own, lends what it found
//! and says when there is more; the session and the waiting stay with the connection.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use futures_channel::oneshot;
use odradek_engine::bytes::{Lender, LentBytes, Part};
use odradek_engine::io::{Errno, LentRange};

use super::{Answer, Limits, Slice};
use crate::api::across::{LOST, There, distinct, join, key, lane, shard_of_partition};
use crate::api::fetch_sessions::{TopicKey, Wanted};
use crate::api::{Call, Refusal, ReplyPiece, throttle};
use crate::runtime::{Gone, LocalFuture, Notice, either};
use odradek_wire::{ErrorCode, Uuid};

/// Another shard has more now, or has gone.
pub(super) type Stir = oneshot::Receiver<()>;

/// What another shard lends.
enum Lent {
    Memory(LentBytes),
    File(LentRange),
}

/// One partition's part of another shard's answer.
type Far = Slice<Lent>;

/// Plans every partition once, wherever it is. `notice` is raised by the next progress of any here
/// that had nothing, the others' by their stirs.
pub(super) async fn gather(
    call: &Call<'_>,
    limits: Limits,
    wanted: &[Wanted],
    notice: &Rc<Notice>,
) -> Result<(Answer, Vec<Stir>), Refusal> {
    let (broker, here) = (call.broker, call.broker.shard);
    let image = broker.image();
    let owner = |wanted: &Wanted| {
        let topic = match &wanted.topic {
            TopicKey::Name(name) => key(false, name, Uuid::ZERO),
            TopicKey::Id(id) => key(true, "", *id),
        };
        shard_of_partition(&image, here, topic, wanted.index)
    };
    let owners: Vec<u32> = wanted.iter().map(owner).collect();
    let shards = distinct(&owners);
    match shards[..] {
        [] => {}
        [shard] => call.peer.aside.note(shard),
        _ => call.peer.aside.mixed(),
    }
    if shards.iter().all(|shard| *shard == here) {
        return Ok((
            super::gather(broker, limits, wanted, notice).await,
            Vec::new(),
        ));
    }
    let of = |shard: u32| {
        let theirs = wanted.iter().zip(&owners);
        let theirs = theirs.filter(move |(_, owner)| **owner == shard);
        theirs.map(|(wanted, _)| wanted.clone()).collect::<Vec<_>>()
    };
    let (mut far, mut stirs) = (Vec::new(), Vec::new());
    for shard in shards.into_iter().filter(|shard| *shard != here) {
        let (send, answer) = oneshot::channel();
        let (stir, stirred) = oneshot::channel();
        let theirs = of(shard);
        let errand = move |there: Rc<There>| -> LocalFuture<()> {
            Box::pin(async move { plan(&there, limits, &theirs, send, stir).await })
        };
        let lane = lane(call, shard).await;
        let errand = throttle::errand(call, errand);
        lane.send(errand).await.map_err(|Gone| LOST)?;
        far.push((shard, answer));
        stirs.push(stirred);
    }
    let own = super::gather(broker, limits, &of(here), notice).await;
    let mut slices = BTreeMap::from([(here, VecDeque::from(own.slices))]);
    for (shard, answer) in far {
        let theirs = answer.await.map_err(|_| LOST)?;
        slices.insert(shard, theirs.into_iter().map(arrived).collect());
    }
    broker.lender.reclaim();
    let slices = join(&owners, slices).ok_or(LOST)?;
    Ok((trimmed(slices, limits.bytes_max), stirs))
}

/// The other shard's part.
async fn plan(
    there: &There,
    limits: Limits,
    wanted: &[Wanted],
    send: oneshot::Sender<Vec<Far>>,
    mut stir: oneshot::Sender<()>,
) {
    let broker = &there.broker;
    let notice = Rc::new(Notice::default());
    let answer = super::gather(broker, limits, wanted, &notice).await;
    let mut far = Vec::with_capacity(answer.slices.len());
    for mut slice in answer.slices {
        let pieces = std::mem::take(&mut slice.pieces);
        far.push(match lend(&broker.lender, pieces).await {
            Ok(pieces) => slice.with(pieces),
            Err(_) => Slice::failed(slice.index, ErrorCode::KafkaStorageError),
        });
    }
    // Who asked may have gone; nobody minds.
    let _ = send.send(far);
    let watch = async move {
        // Until there is more, or nobody waits for it.
        either(notice.raised(), stir.cancellation()).await;
        let _ = stir.send(());
    };
    broker.spawner.spawn(watch).detach();
}

async fn lend(lender: &Lender, pieces: Vec<ReplyPiece>) -> Result<Vec<Lent>, Errno> {
    let mut lent = Vec::with_capacity(pieces.len());
    for piece in pieces {
        lent.push(match piece {
            ReplyPiece::Memory(part) => Lent::Memory(lender.lend_bytes(part, ())),
            ReplyPiece::File(range) => Lent::File(range.lend(lender).await?),
            ReplyPiece::Lent(range) => Lent::File(range),
        });
    }
    Ok(lent)
}

/// As a slice of this shard's answer.
fn arrived(mut slice: Far) -> Slice {
    let pieces = std::mem::take(&mut slice.pieces);
    let pieces = pieces.into_iter().map(|piece| match piece {
        Lent::Memory(bytes) => ReplyPiece::Memory(Part::Lent(bytes)),
        Lent::File(range) => ReplyPiece::Lent(range),
    });
    slice.with(pieces.collect())
}

/// The slices cut down to what one answer may hold: each owner had all of it. The first that has
/// anything stays whole, so that a batch larger than the limit gets through.
fn trimmed(mut slices: Vec<Slice>, max: u64) -> Answer {
    let (mut bytes, mut failed) = (0, false);
    for slice in &mut slices {
        failed |= slice.error != ErrorCode::None;
        if bytes > 0 {
            cut(slice, max.saturating_sub(bytes));
        }
        bytes += slice.bytes;
    }
    Answer {
        slices,
        bytes,
        failed,
    }
}

/// Cuts a slice down to so many bytes.
fn cut(slice: &mut Slice, bytes: u64) {
    if slice.bytes <= bytes {
        return;
    }
    slice.bytes = bytes;
    let mut left = bytes;
    slice.pieces.retain_mut(|piece| {
        let kept = left;
        let length = match piece {
            ReplyPiece::Memory(part) => {
                let length = part.len() as u64;
                part.truncate(length.min(kept) as usize);
                length
            }
            ReplyPiece::File(range) => {
                let length = range.len;
                range.len = length.min(kept);
                length
            }
            ReplyPiece::Lent(range) => {
                let length = range.len;
                range.len = length.min(kept);
                length
            }
        };
        left -= length.min(kept);
        kept > 0
    });
}

/// Waits for the first of some shards to stir.
pub(super) async fn any(stirs: &mut [Stir]) {
    poll_fn(|context| {
        let mut stirs = stirs.iter_mut();
        match stirs.any(|stir| Pin::new(stir).poll(context).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(pieces: &[&[u8]]) -> Slice {
        let mut slice = Slice::failed(0, ErrorCode::None);
        slice.bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        let pieces = pieces.iter().map(|piece| Part::Owned(piece.to_vec()));
        slice.pieces = pieces.map(ReplyPiece::Memory).collect();
        slice
    }

    fn bytes(slice: &Slice) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in &slice.pieces {
            let ReplyPiece::Memory(part) = piece else {
                unreachable!()
            };
            bytes.extend_from_slice(part.bytes());
        }
        assert_eq!(bytes.len() as u64, slice.bytes);
        bytes
    }

    #[test]
    fn an_answer_holds_so_much_and_its_first_slice() {
        let given = || {
            vec![
                slice(&[]),
                slice(&[b"abc", b"de"]),
                slice(&[b"fg", b"hij"]),
                slice(&[b"k"]),
            ]
        };
        let shown = |max| {
            let answer = trimmed(given(), max);
            let all: Vec<Vec<u8>> = answer.slices.iter().map(bytes).collect();
            assert_eq!(
                answer.bytes,
                all.iter().map(|one| one.len() as u64).sum::<u64>()
            );
            all.join(&b'|')
        };
        assert_eq!(shown(100), b"|abcde|fghij|k");
        assert_eq!(shown(10), b"|abcde|fghij|");
        assert_eq!(shown(8), b"|abcde|fgh|");
        assert_eq!(shown(7), b"|abcde|fg|");
        assert_eq!(shown(2), b"|abcde||");
    }
}
