//! The settings against Apache Kafka's own facts and answers, and against bad input.

mod describe;
mod facts;
mod file;
mod hostile;
mod load;
mod topics;

use super::{Settings, Warning};

fn load(text: &str) -> (Settings, Vec<Warning>) {
    match Settings::load(Some(text), &[]) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{error}\n{text}"),
    }
}

fn refusal(text: &str) -> String {
    match Settings::load(Some(text), &[]) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}
