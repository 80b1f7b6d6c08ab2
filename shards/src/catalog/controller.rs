//! The embedded controller, on shard 0: the only writer of metadata.
//!
//! A change is answered when its records are durable in `__cluster_metadata-0` and every shard
//! has applied the new image. Changes come one after the other.
//!
//! Absent on purpose: how an image reaches the shards; whoever commits says so.

use std::rc::Rc;
use std::sync::Arc;

use async_lock::{Mutex, MutexGuard};
use odradek_engine::io::{Errno, Io};
use odradek_engine::log::Appended;
use odradek_engine::record::{Origin, Rules, validate};
use odradek_engine::types::{Offset, Timestamp};
use odradek_wire::metadata_records::MetadataRecord;

use super::image::Image;
use super::records::{self, MetadataError};
use crate::partition::{Mark, Partition};

/// Why a change did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    #[error("the metadata log cannot be written: {0}")]
    Log(String),
    #[error("reading the metadata log failed: {0}")]
    Read(String),
    #[error("the metadata log is not readable: {0}")]
    Metadata(#[from] MetadataError),
}

/// See the module.
pub struct Controller {
    io: Io,
    log: Rc<Partition>,
    image: Mutex<Arc<Image>>,
}

/// The right to change metadata, until dropped.
pub struct Change<'a> {
    controller: &'a Controller,
    image: MutexGuard<'a, Arc<Image>>,
}

impl Controller {
    /// Reads the metadata log and folds it.
    pub async fn load(
        io: Io,
        log: Rc<Partition>,
    ) -> Result<(Controller, Arc<Image>), ControllerError> {
        let mut image = Image::default();
        let mut next = log.standing().log_start;
        loop {
            let bytes = log
                .copy(next, 4 << 20)
                .await
                .map_err(|error| ControllerError::Read(error.to_string()))?;
            let before = next;
            for (pos, header) in odradek_engine::record::headers(&bytes) {
                let end = pos + header.size().map_err(MetadataError::from)?;
                records::fold(&mut image, &bytes[pos..end])?;
                next = Offset(header.last_offset().0 + 1);
            }
            if next == before {
                break;
            }
        }
        let image = Arc::new(image);
        let controller = Controller {
            io,
            log,
            image: Mutex::new(image.clone()),
        };
        Ok((controller, image))
    }

    /// Waits for the right to change metadata.
    pub async fn begin(&self) -> Change<'_> {
        Change {
            controller: self,
            image: self.image.lock().await,
        }
    }

    /// The metadata log.
    pub fn log(&self) -> &Rc<Partition> {
        &self.log
    }
}

impl Change<'_> {
    /// Metadata as it stands; it does not change while this exists.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Makes records durable, folds them, and has the image published. On return every shard
    /// that `publish` reached serves by it.
    ///
    /// # Errors
    /// Nothing was published. Whether the records are in the log is unknown if the log failed.
    pub async fn commit(
        &mut self,
        change: &[MetadataRecord<'_>],
        publish: impl AsyncFnOnce(Arc<Image>),
    ) -> Result<Arc<Image>, ControllerError> {
        let image = self.store(change).await?;
        publish(image.clone()).await;
        Ok(image)
    }

    async fn store(
        &mut self,
        change: &[MetadataRecord<'_>],
    ) -> Result<Arc<Image>, ControllerError> {
        if change.is_empty() {
            return Ok(self.image.clone());
        }
        let now = Timestamp(self.controller.io.wall_clock());
        let log = |error: &dyn std::fmt::Display| ControllerError::Log(error.to_string());
        let batch = records::encode(change, now).map_err(|error| log(&error))?;
        let info = validate(&batch, &Rules::NODE).map_err(|error| log(&error))?;
        // A change that finds the disk full is refused; the log stays as it is.
        let room = self.controller.log.prepare(batch.len()).await;
        room.map_err(|error| {
            let why = match error {
                Errno(libc::EROFS) => {
                    "it takes nothing more: the node stops, or a write failed".to_owned()
                }
                error => format!("no room for {} bytes: {error}", batch.len()),
            };
            ControllerError::Log(why)
        })?;
        let appended = self
            .controller
            .log
            .append(&batch, &info, Origin::Node, None, now)
            .map_err(|error| ControllerError::Log(format!("{error:?}")))?;
        let Appended::Stored(stored) = appended else {
            return Err(ControllerError::Log("the batch was not taken".into()));
        };
        self.controller
            .log
            .wait(Mark::Visible, stored.next_offset())
            .done()
            .await
            .map_err(|_| ControllerError::Log("it is offline".into()))?;
        let mut image = Image::clone(&self.image);
        records::fold(&mut image, &batch)?;
        let image = Arc::new(image);
        *self.image = image.clone();
        Ok(image)
    }
}
