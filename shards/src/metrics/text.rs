//! Prometheus' text format, version 0.0.4.
//!
//! Written here, because the libraries that write it want their own registry of atomics; what is
//! counted here belongs to threads that share nothing.
//!
//! Source: Prometheus, "Exposition formats", text-based format.

use std::fmt::Write;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The page as it grows. Each family is begun once, its samples follow.
#[derive(Default)]
pub(super) struct Text {
    out: String,
    name: &'static str,
}

impl Text {
    /// Begins a family: its name, and one line of what it means.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) {
        debug_assert!(!help.contains(['\n', '\\']));
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.name = name;
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A sample of the family.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Value) {
        self.line("", labels, value);
    }

    /// A sample whose name goes on: `_bucket`, `_sum`, `_count`.
    pub(super) fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Value) {
        let name = self.name;
        self.put(format_args!("{name}{suffix}"));
        let mut sign = '{';
        for (label, text) in labels {
            self.put(format_args!("{sign}{label}=\""));
            self.escaped(text);
            self.out.push('"');
            sign = ',';
        }
        if sign == ',' {
            self.out.push('}');
        }
        self.out.push(' ');
        value.write(&mut self.out);
        self.out.push('\n');
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str("\\n"),
                c => self.out.push(c),
            }
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a string takes it");
    }

    pub(super) fn into_string(self) -> String {
        self.out
    }
}

/// A sample's value.
pub(super) trait Value {
    fn write(&self, out: &mut String);
}

macro_rules! whole {
    ($($type:ty),+) => { $(
        impl Value for $type {
            fn write(&self, out: &mut String) {
                write!(out, "{self}").expect("a string takes it");
            }
        }
    )+ };
}
whole!(u64, i64);

impl Value for f64 {
    fn write(&self, out: &mut String) {
        if self.is_infinite() {
            out.push_str(if *self > 0.0 { "+Inf" } else { "-Inf" });
        } else {
            write!(out, "{self}").expect("a string takes it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_lines_are_whole() {
        let mut text = Text::default();
        text.family(Kind::Gauge, "a_b", "What it is.");
        text.sample(&[], 7u64);
        text.sample(&[("group", "a\"b\\c\nd"), ("p", "0")], -1i64);
        text.line("_bucket", &[("le", "+Inf")], 0.5);
        assert_eq!(
            text.into_string(),
            "# HELP a_b What it is.\n# TYPE a_b gauge\na_b 7\n\
             a_b{group=\"a\\\"b\\\\c\\nd\",p=\"0\"} -1\na_b_bucket{le=\"+Inf\"} 0.5\n"
        );
    }
}
