//! One scenario under way: the server it speaks to, a topic name of its own, its transcript.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// What the last panic said.
pub static FAILURE: Mutex<String> = Mutex::new(String::new());

pub const LIMIT: Duration = Duration::from_secs(30);

pub struct Run {
    pub bootstrap: String,
    pub topic: String,
    pub brokers: usize,
    lines: RefCell<Vec<String>>,
}

/// Where a message came to stand, or why it did not: by the number it was sent under.
pub type Told = BTreeMap<usize, Result<(i32, i64), RDKafkaErrorCode>>;

#[derive(Default)]
pub struct Deliveries(Mutex<Told>);

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let told = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(code(error)),
        };
        self.0.lock().unwrap().insert(number, told);
    }
}

pub fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error
        .rdkafka_error_code()
        .unwrap_or(RDKafkaErrorCode::Unknown)
}

impl Run {
    pub fn new(bootstrap: &str, topic: &str, brokers: usize) -> Run {
        Run {
            bootstrap: bootstrap.into(),
            topic: topic.into(),
            brokers,
            lines: RefCell::default(),
        }
    }

    /// Adds to the transcript. The topic's name, which differs from run to run, becomes T.
    pub fn say(&self, line: String) {
        self.lines.borrow_mut().push(line.replace(&self.topic, "T"));
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    pub fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config(&[]).create().unwrap()
    }

    /// Waits until every partition answers: servers tell of a topic a little before they serve it.
    pub fn create(&self, partitions: i32, settings: &[(&str, &str)]) {
        let mut topic = NewTopic::new(&self.topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        let admin = self.admin();
        let created = block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
        created[0].as_ref().unwrap();
        self.ready(partitions);
    }

    pub fn ready(&self, partitions: i32) {
        let consumer: BaseConsumer = self.config(&[]).create().unwrap();
        until("the topic is ready", || {
            (0..partitions).all(|p| consumer.fetch_watermarks(&self.topic, p, LIMIT).is_ok())
        });
    }

    /// Sends to one partition, waits for all answers.
    pub fn send(&self, partition: i32, values: &[Vec<u8>], settings: &[(&str, &str)]) -> Told {
        let records: Vec<_> = values
            .iter()
            .map(|v| (Some(partition), None, v.as_slice()))
            .collect();
        self.send_records(&records, settings)
    }

    pub fn send_records(
        &self,
        records: &[(Option<i32>, Option<&[u8]>, &[u8])],
        settings: &[(&str, &str)],
    ) -> Told {
        let producer: BaseProducer<Deliveries> = self
            .config(settings)
            .create_with_context(Deliveries::default())
            .unwrap();
        let mut refused = Told::new();
        for (number, (partition, key, value)) in records.iter().enumerate() {
            let mut record: BaseRecord<[u8], [u8], usize> =
                BaseRecord::with_opaque_to(&self.topic, number).payload(value);
            record.partition = *partition;
            record.key = *key;
            if let Err((error, _)) = producer.send(record) {
                refused.insert(number, Err(code(&error)));
            }
            producer.poll(Duration::ZERO);
        }
        producer.flush(LIMIT).unwrap();
        let mut told = producer.context().0.lock().unwrap().clone();
        told.extend(refused);
        assert_eq!(told.len(), records.len(), "messages answered");
        told
    }

    /// A consumer that has these partitions of the topic, from an offset on.
    pub fn reader(&self, partitions: i32, from: Offset, settings: &[(&str, &str)]) -> BaseConsumer {
        let mut config = self.config(&[("group.id", "unused"), ("enable.auto.commit", "false")]);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let consumer: BaseConsumer = config.create().unwrap();
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment
                .add_partition_offset(&self.topic, partition, from)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        consumer
    }
}

/// Exactly `count` messages, and a short look that no more follow.
pub fn take(consumer: &BaseConsumer, count: usize) -> Vec<OwnedMessage> {
    let deadline = Instant::now() + LIMIT;
    let mut messages = Vec::new();
    while messages.len() < count {
        assert!(
            Instant::now() < deadline,
            "{} of {count} messages came",
            messages.len()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            messages.push(message.unwrap().detach());
        }
    }
    if let Some(message) = consumer.poll(Duration::from_millis(100)) {
        panic!("one more came, at offset {}", message.unwrap().offset());
    }
    messages
}

pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Values that compress about by half.
pub fn values(count: usize, size: usize) -> Vec<Vec<u8>> {
    let mut state = (count * 31 + size) as u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 28) as u8
    };
    (0..count)
        .map(|_| (0..size).map(|_| letter()).collect())
        .collect()
}
