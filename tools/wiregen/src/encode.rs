//! The `encode` function of a structure.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use crate::code::{Generator, When, condition, untagged, when};
use crate::model::{Member, Type};

impl Generator<'_> {
    pub(crate) fn encode(&self, code: &mut String, is_root: bool) -> Result<()> {
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
            When::If(_) => writeln!(body, "if flexible {{ {tags} }}")?,
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
