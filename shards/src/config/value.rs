//! Types and ranges of settings, with Apache Kafka's own reading of text
//! (`org.apache.kafka.common.config.ConfigDef`): surrounding blanks do not count, booleans
//! ignore case, an empty list is the empty text.
//!
//! Absent on purpose: NaN and Java's other spellings of numbers (`1d`, `0x1p3`).

use std::fmt;

/// The type of a setting; the number is DescribeConfigs' `ConfigType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Kind {
    /// A name that nobody declared; treated as sensitive.
    Unknown = 0,
    /// `true` or `false`.
    Boolean = 1,
    /// Any text.
    String = 2,
    /// 32 bits, signed.
    Int = 3,
    /// 16 bits, signed.
    Short = 4,
    /// 64 bits, signed.
    Long = 5,
    /// A finite double or infinity.
    Double = 6,
    /// Texts separated by commas.
    List = 7,
    /// The name of a Java class: carried, never loaded.
    Class = 8,
    /// Text that is never shown.
    Password = 9,
}

impl Kind {
    /// Kafka's name for the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }

    /// Whether values are withheld from clients (`KafkaConfig.maybeSensitive`).
    pub fn is_sensitive(self) -> bool {
        matches!(self, Self::Unknown | Self::Password)
    }

    /// Reads `text` as this type; the error says what was expected.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let whole = |min: i64, max: i64| match text.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(Value::Whole(number)),
            _ => Err(format!(
                "expected a whole number from {min} to {max} ({})",
                self.name()
            )),
        };
        match self {
            Self::Boolean if text.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            Self::Boolean if text.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            Self::Boolean => Err("expected true or false".to_owned()),
            Self::Short => whole(i16::MIN.into(), i16::MAX.into()),
            Self::Int => whole(i32::MIN.into(), i32::MAX.into()),
            Self::Long => whole(i64::MIN, i64::MAX),
            Self::Double => match text.parse::<f64>() {
                Ok(number) if !number.is_nan() => Ok(Value::Double(number)),
                _ => Err("expected a number (DOUBLE)".to_owned()),
            },
            Self::List if text.is_empty() => Ok(Value::List(Vec::new())),
            Self::List => {
                let items = text.split(',').map(|item| item.trim().to_owned());
                Ok(Value::List(items.collect()))
            }
            Self::String | Self::Class | Self::Password | Self::Unknown => {
                Ok(Value::Text(text.to_owned()))
            }
        }
    }
}

/// A setting's value, read by its [`Kind`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// BOOLEAN.
    Boolean(bool),
    /// SHORT, INT or LONG, within the type's range.
    Whole(i64),
    /// DOUBLE, never NaN.
    Double(f64),
    /// STRING, CLASS or PASSWORD.
    Text(String),
    /// LIST.
    List(Vec<String>),
}

/// The text DescribeConfigs shows (`ConfigDef.convertToString`).
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Whole(value) => write!(f, "{value}"),
            Self::Double(value) => f.write_str(&java_double(*value)),
            Self::Text(value) => f.write_str(value),
            Self::List(items) => f.write_str(&items.join(",")),
        }
    }
}

/// `Double.toString`: plain between 10⁻³ and 10⁷, else with a capital E and at least one decimal.
fn java_double(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// What a value must satisfy beyond its type. Shown to people by [`Display`](fmt::Display).
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// Nothing more.
    Any,
    /// A whole number, this or more.
    AtLeast(i64),
    /// A whole number, both ends included.
    Between(i64, i64),
    /// A number, both ends included.
    Fraction(f64, f64),
    /// One of these texts, letter for letter.
    OneOf(&'static [&'static str]),
    /// One of these texts in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// A list, possibly empty, of these texts.
    Among(&'static [&'static str]),
    /// A list of at least one of these texts.
    SomeAmong(&'static [&'static str]),
    /// A text or list that is not empty.
    NotEmpty,
    /// gzip's levels: 1 to 9, or -1 for the library's own.
    GzipLevel,
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
}

impl Check {
    /// Whether `value` is allowed.
    pub fn allows(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::AtLeast(min), Value::Whole(number)) => number >= min,
            (Self::Between(min, max), Value::Whole(number)) => (min..=max).contains(&number),
            (Self::Fraction(min, max), Value::Double(number)) => (min..=max).contains(&number),
            (Self::OneOf(names), Value::Text(text)) => names.contains(&text.as_str()),
            (Self::OneOfAnyCase(names), Value::Text(text)) => {
                names.iter().any(|name| name.eq_ignore_ascii_case(text))
            }
            (Self::Among(names), Value::List(items)) => {
                items.iter().all(|item| names.contains(&item.as_str()))
            }
            (Self::SomeAmong(names), Value::List(items)) => {
                !items.is_empty() && items.iter().all(|item| names.contains(&item.as_str()))
            }
            (Self::NotEmpty, Value::Text(text)) => !text.is_empty(),
            (Self::NotEmpty, Value::List(items)) => {
                !items.is_empty() && items.iter().all(|item| !item.is_empty())
            }
            (Self::GzipLevel, Value::Whole(level)) => *level == -1 || (1..=9).contains(level),
            (Self::ThrottledReplicas, Value::List(items)) => {
                items.is_empty() || items == &["*"] || items.iter().all(|item| is_replica(item))
            }
            _ => true,
        }
    }
}

fn is_replica(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(':')
        .is_some_and(|(partition, broker)| number(partition) && number(broker))
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::AtLeast(min) => write!(f, "at least {min}"),
            Self::Between(min, max) => write!(f, "{min} to {max}"),
            Self::Fraction(min, max) => write!(f, "{min} to {max}"),
            Self::OneOf(names) => write!(f, "one of {}", names.join(", ")),
            Self::OneOfAnyCase(names) => write!(f, "one of {} in any case", names.join(", ")),
            Self::Among(names) => write!(f, "a list of {}, or nothing", names.join(", ")),
            Self::SomeAmong(names) => write!(f, "a list of {}", names.join(", ")),
            Self::NotEmpty => f.write_str("not empty"),
            Self::GzipLevel => f.write_str("1 to 9, or -1"),
            Self::ThrottledReplicas => f.write_str("*, or a list of partition:broker"),
        }
    }
}

/// A Rust type that a setting's field can have. The text was validated before.
pub(super) trait Field: Sized {
    const KIND: Kind;
    /// `None`: the value is not one of this type, which validation has excluded.
    fn from_value(value: Option<Value>) -> Option<Self>;
}

macro_rules! whole_fields {
    ($($type:ty => $kind:ident),+) => { $(
        impl Field for $type {
            const KIND: Kind = Kind::$kind;
            fn from_value(value: Option<Value>) -> Option<Self> {
                match value? {
                    Value::Whole(number) => Self::try_from(number).ok(),
                    _ => None,
                }
            }
        }
    )+ };
}
whole_fields!(i16 => Short, i32 => Int, i64 => Long);

impl Field for bool {
    const KIND: Kind = Kind::Boolean;
    fn from_value(value: Option<Value>) -> Option<Self> {
        match value? {
            Value::Boolean(value) => Some(value),
            _ => None,
        }
    }
}

impl Field for f64 {
    const KIND: Kind = Kind::Double;
    fn from_value(value: Option<Value>) -> Option<Self> {
        match value? {
            Value::Double(value) => Some(value),
            _ => None,
        }
    }
}

impl Field for String {
    const KIND: Kind = Kind::String;
    fn from_value(value: Option<Value>) -> Option<Self> {
        match value? {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }
}

impl Field for Vec<String> {
    const KIND: Kind = Kind::List;
    fn from_value(value: Option<Value>) -> Option<Self> {
        match value? {
            Value::List(value) => Some(value),
            _ => None,
        }
    }
}

impl<T: Field> Field for Option<T> {
    const KIND: Kind = T::KIND;
    fn from_value(value: Option<Value>) -> Option<Self> {
        match value {
            None => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
