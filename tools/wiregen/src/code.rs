//! The Rust code of one message and its structures.
//!
//! `§` stands for the version's parameter until it is known whether the function uses it.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use crate::model::{Member, Message, Structure, Type, inner_struct};
use crate::schema::Versions;

/// A condition on the version.
enum When {
    Always,
    Never,
    If(String),
}

/// When a version among `all` is in `some`.
fn when(some: Versions, all: Versions) -> When {
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

/// The opposite of a condition, as a Rust expression.
fn not(when: When) -> String {
    match when {
        When::Always => "false".into(),
        When::Never => "true".into(),
        When::If(condition) if condition.contains(" >= ") => condition.replace(" >= ", " < "),
        When::If(condition) if condition.contains(" <= ") => condition.replace(" <= ", " > "),
        When::If(condition) => format!("!({condition})"),
    }
}

/// The same as a Rust expression.
fn condition(some: Versions, all: Versions) -> String {
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

struct Generator<'m> {
    message: &'m Message,
    structure: &'m Structure,
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

    fn all(&self) -> Versions {
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
    fn default(&self, member: &Member) -> Result<String> {
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
    fn is_set(&self, member: &Member) -> Result<String> {
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
    fn flexible(&self, member: &Member) -> &'static str {
        match when(member.flexible, member.versions) {
            When::Always => "true",
            When::Never => "false",
            When::If(_) => "flexible",
        }
    }

    fn signature(&self, code: &mut String, body: &str, head: &str, tail: &str) -> Result<()> {
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

    fn check_version(&self, error: &str) -> String {
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

    fn decode(&self, code: &mut String, is_root: bool) -> Result<()> {
        let mut body = String::new();
        if is_root {
            body += &self.check_version("DecodeError");
        }
        let mut tagged = Vec::new();
        for member in &self.structure.members {
            let local = local(member);
            let mutable = if member.tagged.is_empty() { "" } else { "mut " };
            let untagged = untagged(member);
            let read = self.read_nullable(member, member.versions)?;
            match when(untagged, self.all()) {
                When::Always => writeln!(body, "let {local} = {read};")?,
                When::Never => writeln!(body, "let {mutable}{local} = {};", self.default(member)?)?,
                When::If(condition) => writeln!(
                    body,
                    "let {mutable}{local} = if {condition} {{ {read} }} else {{ {} }};",
                    self.default(member)?
                )?,
            }
            if !member.tagged.is_empty() {
                tagged.push(member);
            }
        }
        let mut tags = String::new();
        if tagged.is_empty() {
            tags += "r.skip_tagged_fields()?;\n";
        } else {
            tagged.sort_by_key(|member| member.tag);
            tags += "r.tagged_fields(|r, tag| { match tag {\n";
            for member in tagged {
                let guard = match when(member.tagged, self.structure.flexible) {
                    When::If(condition) => format!(" if {condition}"),
                    _ => String::new(),
                };
                let tag = member.tag.context("a tagged field without a tag")?;
                let read = self.read_tagged(member)?;
                writeln!(tags, "{tag}{guard} => {} = {read},", local(member))?;
            }
            tags += "_ => return Ok(false), } Ok(true) })?;\n";
        }
        match when(self.structure.flexible, self.all()) {
            When::Always => body += &tags,
            When::Never => {}
            When::If(_) => write!(body, "if flexible {{ {tags} }}\n")?,
        }
        body += "Ok(Self {\n";
        for member in &self.structure.members {
            let local = local(member);
            if local == member.name {
                writeln!(body, "{local},")?;
            } else {
                writeln!(body, "{}: {local},", member.name)?;
            }
        }
        body += "})\n";
        let lifetime = if self.structure.borrows { "'a" } else { "'_" };
        let reader = if body.contains("r.") || body.contains("(r,") {
            "r"
        } else {
            "_r"
        };
        self.signature(
            code,
            &body,
            &format!("pub fn decode({reader}: &mut Reader<{lifetime}>, "),
            ") -> Result<Self, DecodeError>",
        )
    }

    /// Reads an untagged field; `present` are the versions in which it is read.
    fn read_nullable(&self, member: &Member, present: Versions) -> Result<String> {
        let flexible = self.flexible(member);
        if !member.is_option() && member.ty != Type::Records {
            return self.read(member, flexible, false);
        }
        let plain = self.read(member, flexible, false)?;
        let nullable = self.read(member, flexible, true)?;
        let plain = if member.ty == Type::Records {
            plain
        } else {
            format!("Some({plain})")
        };
        Ok(match when(member.nullable, present) {
            When::Always => nullable,
            When::Never => plain,
            When::If(condition) => format!("if {condition} {{ {nullable} }} else {{ {plain} }}"),
        })
    }

    fn read_tagged(&self, member: &Member) -> Result<String> {
        let nullable = !member.nullable.intersect(member.tagged).is_empty();
        match (&member.ty, nullable) {
            // A tagged structure is told from null by an unsigned varint, not by a byte.
            (Type::Struct(name), true) => Ok(format!(
                "if r.uvarint()? == 0 {{ None }} else {{ Some({name}::decode(r, §)?) }}"
            )),
            (_, false) if member.is_option() => {
                Ok(format!("Some({})", self.read(member, "true", false)?))
            }
            _ => self.read(member, "true", nullable),
        }
    }

    fn read(&self, member: &Member, flexible: &str, nullable: bool) -> Result<String> {
        let label = &member.label;
        let opt = if nullable { "_opt" } else { "" };
        Ok(match &member.ty {
            Type::Fixed(_, method) => {
                ensure!(!nullable, "{label} cannot be null");
                format!("r.{method}()?")
            }
            Type::Str => format!("r.str{opt}({flexible}, \"{label}\")?"),
            Type::Bytes => format!("r.bytes{opt}({flexible}, \"{label}\")?"),
            Type::Records => format!("r.records{opt}({flexible}, \"{label}\")?"),
            Type::Struct(name) if nullable => {
                format!("if r.i8()? < 0 {{ None }} else {{ Some({name}::decode(r, §)?) }}")
            }
            Type::Struct(name) => format!("{name}::decode(r, §)?"),
            Type::Array(element) => {
                let element = match &**element {
                    Type::Fixed(_, method) => format!("Reader::{method}"),
                    Type::Str => format!("|r| r.str({flexible}, \"{label}\")"),
                    Type::Bytes => format!("|r| r.bytes({flexible}, \"{label}\")"),
                    Type::Struct(name) => format!("|r| {name}::decode(r, §)"),
                    other => anyhow::bail!("{label}: array of {other:?}"),
                };
                format!("r.array{opt}({flexible}, \"{label}\", {element})?")
            }
        })
    }

    fn encode(&self, code: &mut String, is_root: bool) -> Result<()> {
        let mut body = String::new();
        if is_root {
            body += &self.check_version("EncodeError");
        }
        let mut tagged = Vec::new();
        for member in &self.structure.members {
            let refuse = format!(
                "if {} {{ return Err(EncodeError::Field {{ field: \"{}\", version: §, }}); }}",
                self.is_set(member)?,
                member.label
            );
            let write = self.write_nullable(member)?;
            let untagged = untagged(member);
            let absent = !member.versions.contains(self.all());
            match (when(untagged, self.all()), member.ignorable || !absent) {
                (When::Always, _) => writeln!(body, "{write}")?,
                (When::Never, true) => {}
                (When::Never, false) => {
                    let absent = not(when(member.versions, self.all()));
                    writeln!(body, "if {absent} && {}", refuse.trim_start_matches("if "))?;
                }
                (When::If(present), true) => writeln!(body, "if {present} {{ {write} }}")?,
                (When::If(present), false) => {
                    ensure!(member.tagged.is_empty(), "{}: partly tagged", member.label);
                    writeln!(body, "if {present} {{ {write} }} else {refuse}")?;
                }
            }
            if !member.tagged.is_empty() {
                tagged.push(member);
            }
        }
        tagged.sort_by_key(|member| member.tag);
        let mut tags = String::new();
        if tagged.is_empty() {
            tags += "w.uvarint(0);\n";
        } else {
            tags += "let tags = w.begin_tagged_fields();\n";
            for member in tagged {
                let set = self.is_set(member)?;
                let set = match when(member.tagged, self.structure.flexible) {
                    When::If(condition) => format!("{condition} && {set}"),
                    _ => set,
                };
                let tag = member.tag.context("a tagged field without a tag")?;
                let write = self.write_tagged(member)?;
                writeln!(
                    tags,
                    "if {set} {{ w.tagged_field(tags, {tag}, |w| {{ {write} Ok(()) }})?; }}"
                )?;
            }
        }
        match when(self.structure.flexible, self.all()) {
            When::Always => body += &tags,
            When::Never => {}
            When::If(_) => write!(body, "if flexible {{ {tags} }}\n")?,
        }
        body += "Ok(())\n";
        let writer = if body.contains("w.") || body.contains("(w,") {
            "w"
        } else {
            "_w"
        };
        self.signature(
            code,
            &body,
            &format!("pub fn encode(&self, {writer}: &mut Writer, "),
            ") -> Result<(), EncodeError>",
        )
    }

    /// Writes an untagged field.
    fn write_nullable(&self, member: &Member) -> Result<String> {
        let flexible = self.flexible(member);
        let label = &member.label;
        let field = format!("self.{}", member.name);
        let nullable = condition(member.nullable, member.versions);
        if member.ty == Type::Records {
            return Ok(format!(
                "w.records({flexible}, {field}, {nullable}, \"{label}\")?;"
            ));
        }
        if !member.is_option() {
            return self.write(member, &member.ty, flexible, &field, false);
        }
        Ok(match &member.ty {
            Type::Str => format!("w.str_opt({flexible}, {field}, {nullable}, \"{label}\")?;"),
            Type::Bytes => format!("w.bytes_opt({flexible}, {field}, {nullable}, \"{label}\")?;"),
            Type::Struct(_) => {
                ensure!(
                    nullable == "true",
                    "{label} is a structure that is null in some versions"
                );
                format!(
                    "match &{field} {{ None => w.i8(-1), Some(value) => {{ w.i8(1); value.encode(w, §)?; }} }}"
                )
            }
            Type::Array(_) => {
                let write = self.write(member, &member.ty, flexible, "value", true)?;
                format!(
                    "match &{field} {{ None => w.null({flexible}, {nullable}, \"{label}\")?, Some(value) => {{ {write} }} }}"
                )
            }
            other => anyhow::bail!("{label}: nullable {other:?}"),
        })
    }

    fn write_tagged(&self, member: &Member) -> Result<String> {
        let field = format!("self.{}", member.name);
        let label = &member.label;
        if !member.is_option() {
            return self.write(member, &member.ty, "true", &field, false);
        }
        let nullable = !member.nullable.intersect(member.tagged).is_empty();
        Ok(match &member.ty {
            Type::Str => format!("w.str_opt(true, {field}, {nullable}, \"{label}\")?;"),
            Type::Bytes => format!("w.bytes_opt(true, {field}, {nullable}, \"{label}\")?;"),
            Type::Struct(_) => format!(
                "match &{field} {{ None => w.uvarint(0), Some(value) => {{ w.uvarint(1); value.encode(w, §)?; }} }}"
            ),
            _ => {
                let write = self.write(member, &member.ty, "true", "value", true)?;
                format!(
                    "match &{field} {{ None => w.null(true, {nullable}, \"{label}\")?, Some(value) => {{ {write} }} }}"
                )
            }
        })
    }

    /// Writes a value that is not null. `by_reference` where `value` is a reference to it.
    fn write(
        &self,
        member: &Member,
        ty: &Type,
        flexible: &str,
        value: &str,
        by_reference: bool,
    ) -> Result<String> {
        let label = &member.label;
        let star = if by_reference { "*" } else { "" };
        Ok(match ty {
            Type::Fixed(_, method) => format!("w.{method}({star}{value});"),
            Type::Str => format!("w.str({flexible}, {value}, \"{label}\")?;"),
            Type::Bytes => format!("w.bytes({flexible}, {value}, \"{label}\")?;"),
            Type::Struct(_) => format!("{value}.encode(w, §)?;"),
            Type::Array(element) => {
                let write = self.write(member, element, flexible, "element", true)?;
                let ampersand = if by_reference { "" } else { "&" };
                format!(
                    "w.len({flexible}, {value}.len(), \"{label}\")?; for element in {ampersand}{value} {{ {write} }}"
                )
            }
            Type::Records => anyhow::bail!("{label}: records in an array"),
        })
    }
}

/// Versions in which the field stands among the others, not among the tagged ones.
fn untagged(member: &Member) -> Versions {
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

/// The field's name as a variable, where no parameter has it.
fn local(member: &Member) -> String {
    match member.name.as_str() {
        name @ ("version" | "r" | "tag" | "flexible") => format!("{name}_value"),
        name => name.to_string(),
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
