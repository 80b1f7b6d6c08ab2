//! The Rust code of one message and its structures: their types and defaults, and their place
//! among messages. [`crate::decode`] and [`crate::encode`] write their two functions.
//!
//! `§` stands for the version's parameter until it is known whether the function uses it.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use crate::model::{Member, Message, Structure, Type, inner_struct};
use crate::schema::Versions;

/// A condition on the version.
pub(crate) enum When {
    Always,
    Never,
    If(String),
}

/// When a version among `all` is in `some`.
pub(crate) fn when(some: Versions, all: Versions) -> When {
    let some = some.intersect(all);
    if some.is_empty() {
        When::Never
    } else if some == all {
        When::Always
    } else if some.last == all.last {
        When::If(format!("§ >= {}", some.first))
    } else if some.first == all.first {
        When::If(format!("§ <= {}", some.last))
    } else if some.first == some.last {
        When::If(format!("§ == {}", some.first))
    } else {
        When::If(format!("({}..={}).contains(&§)", some.first, some.last))
    }
}

/// The same as a Rust expression.
pub(crate) fn condition(some: Versions, all: Versions) -> String {
    match when(some, all) {
        When::Always => "true".into(),
        When::Never => "false".into(),
        When::If(condition) => condition,
    }
}

/// The code of a message: its structures, and its place among messages.
pub fn message(message: &Message) -> Result<String> {
    let mut code = String::new();
    for (index, structure) in message.structures.iter().enumerate() {
        let generator = Generator { message, structure };
        generator
            .structure(&mut code, index == 0)
            .with_context(|| structure.name.clone())?;
    }
    place_among_messages(&mut code, message)?;
    Ok(code)
}

/// The last version that Kafka holds stable, which is the last but one where it marks the last.
pub fn last_stable(message: &Message) -> i16 {
    let unstable = message.schema.latest_version_unstable;
    message.schema.valid_versions.last - i16::from(unstable)
}

pub fn first_flexible(message: &Message) -> String {
    match message.root().flexible {
        Versions::NONE => "i16::MAX".into(),
        flexible => flexible.first.to_string(),
    }
}

fn place_among_messages(code: &mut String, message: &Message) -> Result<()> {
    writeln!(
        code,
        "impl<'a> Message<'a> for {ty} {{
            const API_KEY: i16 = {key};
            const NAME: &'static str = \"{name}\";
            const MIN_VERSION: i16 = {min};
            const MAX_VERSION: i16 = {max};
            const LATEST_UNSTABLE: bool = {unstable};
            const FIRST_FLEXIBLE: i16 = {flexible};

            fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {{
                Self::decode(r, version)
            }}

            fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {{
                self.encode(w, version)
            }}
        }}\n",
        ty = message.type_with("'a"),
        key = message.schema.api_key.unwrap_or(-1),
        name = message.schema.name,
        min = message.schema.valid_versions.first,
        max = last_stable(message),
        unstable = message.schema.latest_version_unstable,
        flexible = first_flexible(message),
    )?;
    Ok(())
}

pub(crate) struct Generator<'m> {
    pub(crate) message: &'m Message,
    pub(crate) structure: &'m Structure,
}

impl Generator<'_> {
    fn structure(&self, code: &mut String, is_root: bool) -> Result<()> {
        let Structure {
            name,
            members,
            borrows,
            versions,
            flexible,
        } = self.structure;
        let lifetime = if *borrows { "<'a>" } else { "" };
        if is_root {
            writeln!(code, "/// {}", describe(*versions, *flexible))?;
        }
        let trivial = members
            .iter()
            .map(|m| self.is_trivial_default(m))
            .collect::<Result<Vec<_>>>()?;
        let trivial = trivial.iter().all(|trivial| *trivial);
        let default = if trivial { ", Default" } else { "" };
        writeln!(code, "#[derive(Debug, Clone, PartialEq{default})]")?;
        writeln!(code, "pub struct {name}{lifetime} {{")?;
        for member in members {
            writeln!(code, "pub {}: {},", member.name, self.rust_type(member))?;
        }
        writeln!(code, "}}\n")?;
        if !trivial {
            let anonymous = if *borrows { "<'_>" } else { "" };
            writeln!(
                code,
                "impl Default for {name}{anonymous} {{ fn default() -> Self {{ Self {{"
            )?;
            for member in members {
                writeln!(code, "{}: {},", member.name, self.default(member)?)?;
            }
            writeln!(code, "}} }} }}\n")?;
        }
        writeln!(code, "impl{lifetime} {name}{lifetime} {{")?;
        self.decode(code, is_root)?;
        code.push('\n');
        self.encode(code, is_root)?;
        writeln!(code, "}}\n")?;
        Ok(())
    }

    pub(crate) fn all(&self) -> Versions {
        self.structure.versions
    }

    fn borrows(&self, name: &str) -> bool {
        self.message
            .structures
            .iter()
            .any(|s| s.name == name && s.borrows)
    }

    fn plain_type(&self, ty: &Type) -> String {
        match ty {
            Type::Fixed(rust, _) => (*rust).into(),
            Type::Str => "&'a str".into(),
            Type::Bytes => "&'a [u8]".into(),
            Type::Records => "Records<'a>".into(),
            Type::Struct(name) if self.borrows(name) => format!("{name}<'a>"),
            Type::Struct(name) => name.clone(),
            Type::Array(element) => format!("Vec<{}>", self.plain_type(element)),
        }
    }

    fn rust_type(&self, member: &Member) -> String {
        let plain = self.plain_type(&member.ty);
        if member.is_option() {
            format!("Option<{plain}>")
        } else {
            plain
        }
    }

    /// The default as a Rust expression.
    pub(crate) fn default(&self, member: &Member) -> Result<String> {
        if member.defaults_to_null() {
            ensure!(
                member.is_option() || member.ty == Type::Records,
                "{} defaults to null and is never null",
                member.label
            );
            return Ok(if member.is_option() {
                "None"
            } else {
                "Records::Null"
            }
            .into());
        }
        let text = member.default.as_str();
        let plain = match &member.ty {
            Type::Fixed("bool", _) => match text.to_ascii_lowercase().as_str() {
                "" | "false" => "false".into(),
                "true" => "true".into(),
                _ => anyhow::bail!("{}: default {text}", member.label),
            },
            Type::Fixed("Uuid", _) => {
                ensure!(text.is_empty(), "{}: default {text}", member.label);
                "Uuid::ZERO".into()
            }
            Type::Fixed("f64", _) => match text {
                "" => "0.0".into(),
                _ => format!("{:?}", text.parse::<f64>()?),
            },
            Type::Fixed(rust, _) => {
                let number = match text.strip_prefix("0x") {
                    Some(digits) => i64::from_str_radix(digits, 16)?,
                    None if text.is_empty() => 0,
                    None => text.parse::<i64>()?,
                };
                match number {
                    n if *rust == "i32" && n == i64::from(i32::MAX) => "i32::MAX".into(),
                    n if *rust == "i32" && n == i64::from(i32::MIN) => "i32::MIN".into(),
                    n if *rust == "i64" && n == i64::MAX => "i64::MAX".into(),
                    n => n.to_string(),
                }
            }
            Type::Str => format!("{text:?}"),
            Type::Records => return Ok("Records::Null".into()),
            other => {
                ensure!(text.is_empty(), "{}: default {text}", member.label);
                match other {
                    Type::Bytes => "&[]".into(),
                    Type::Struct(name) => format!("{name}::default()"),
                    _ => "Vec::new()".into(),
                }
            }
        };
        Ok(if member.is_option() {
            format!("Some({plain})")
        } else {
            plain
        })
    }

    /// Whether Rust's own default is the field's.
    fn is_trivial_default(&self, member: &Member) -> Result<bool> {
        let default = self.default(member)?;
        Ok(matches!(
            default.as_str(),
            "None"
                | "false"
                | "Uuid::ZERO"
                | "0.0"
                | "0"
                | "\"\""
                | "Records::Null"
                | "&[]"
                | "Vec::new()"
        ) || matches!(&member.ty, Type::Struct(_) if !member.is_option()))
    }

    /// A condition that holds where the field has another value than its default.
    pub(crate) fn is_set(&self, member: &Member) -> Result<String> {
        let field = format!("self.{}", member.name);
        if member.defaults_to_null() && member.is_option() {
            return Ok(format!("{field}.is_some()"));
        }
        let default = self.default(member)?;
        Ok(match (&member.ty, member.is_option()) {
            (Type::Array(_) | Type::Bytes, true) => {
                format!("{field}.as_ref().is_none_or(|value| !value.is_empty())")
            }
            (Type::Array(_) | Type::Bytes, false) => format!("!{field}.is_empty()"),
            (Type::Str, false) if member.default.is_empty() => format!("!{field}.is_empty()"),
            (Type::Fixed("bool", _), _) if default == "true" => format!("!{field}"),
            (Type::Fixed("bool", _), _) => field,
            _ => format!("{field} != {default}"),
        })
    }

    /// Whether lengths are compact in all versions, in none, or by `flexible`.
    pub(crate) fn flexible(&self, member: &Member) -> &'static str {
        match when(member.flexible, member.versions) {
            When::Always => "true",
            When::Never => "false",
            When::If(_) => "flexible",
        }
    }

    pub(crate) fn signature(
        &self,
        code: &mut String,
        body: &str,
        head: &str,
        tail: &str,
    ) -> Result<()> {
        let mut body = body.to_string();
        if body.contains("flexible") {
            let flexible = condition(self.structure.flexible, self.all());
            body = format!("let flexible = {flexible};\n{body}");
        }
        let parameter = if body.contains('§') {
            "version"
        } else {
            "_version"
        };
        let body = body
            .replace('§', parameter)
            .replace("version: version,", "version,");
        writeln!(code, "{head}{parameter}: i16{tail} {{\n{body}}}")?;
        Ok(())
    }

    pub(crate) fn check_version(&self, error: &str) -> String {
        let Versions { first, last } = self.all();
        let test = if first == last {
            format!("§ != {first}")
        } else {
            format!("!({first}..={last}).contains(&§)")
        };
        format!(
            "if {test} {{ return Err({error}::Version {{ message: \"{}\", version: §, min: {first}, max: {last} }}); }}\n",
            self.structure.name
        )
    }
}

/// Versions in which the field stands among the others, not among the tagged ones.
pub(crate) fn untagged(member: &Member) -> Versions {
    if member.tagged.is_empty() {
        member.versions
    } else {
        Versions {
            first: member.versions.first,
            last: member.tagged.first - 1,
        }
        .intersect(member.versions)
    }
}

fn describe(versions: Versions, flexible: Versions) -> String {
    let Versions { first, last } = versions;
    let range = if first == last {
        format!("Version {first}")
    } else {
        format!("Versions {first} to {last}")
    };
    match flexible {
        Versions::NONE => format!("{range}; not flexible."),
        flexible => format!("{range}; flexible from {}.", flexible.first),
    }
}

/// The `use` lines that the code of a file needs.
pub fn imports(code: &str, messages: &[Message]) -> String {
    let mut names = vec!["DecodeError", "EncodeError", "Message", "Reader", "Writer"];
    let uses = |ty: Type| {
        messages
            .iter()
            .flat_map(|message| &message.structures)
            .flat_map(|structure| &structure.members)
            .any(|member| match &member.ty {
                Type::Array(element) => **element == ty,
                other => *other == ty,
            })
    };
    if uses(Type::Records) {
        names.push("Records");
    }
    if uses(Type::Fixed("Uuid", "uuid")) {
        names.push("Uuid");
    }
    if code.contains("impl<'a> Request<'a>") {
        names.push("Request");
    }
    names.sort_unstable();
    debug_assert!(messages.iter().all(|m| {
        let members = m.structures.iter().flat_map(|s| &s.members);
        members
            .filter_map(|m| inner_struct(&m.ty))
            .all(|name| !names.contains(&name))
    }));
    format!("use crate::{{{}}};\n\n", names.join(", "))
}
