//! What was asked of whom, on which machine.

use super::super::RunResult;
use super::super::plot::escape;

pub(super) fn section(result: &RunResult) -> String {
    let mut text = String::from("<div class=\"facts\">");
    let parts = [
        ("load", serde_json::to_value(&result.load)),
        ("server", serde_json::to_value(&result.server)),
        ("machine", serde_json::to_value(&result.machine)),
        ("totals", serde_json::to_value(result.totals)),
        ("window", serde_json::to_value(&result.window)),
    ];
    for (name, value) in parts {
        text.push_str(&format!("<table><tr><th colspan=\"2\">{name}</th></tr>\n"));
        if let Ok(serde_json::Value::Object(fields)) = value {
            rows(&mut text, "", &fields);
        }
        text.push_str("</table>\n");
    }
    text.push_str("</div>\n");
    text
}

fn rows(text: &mut String, prefix: &str, fields: &serde_json::Map<String, serde_json::Value>) {
    for (name, value) in fields {
        let name = format!("{prefix}{name}").replace('_', " ");
        match value {
            serde_json::Value::Object(inner) => rows(text, &format!("{name}: "), inner),
            serde_json::Value::String(word) => row(text, &name, word),
            other => row(text, &name, &other.to_string()),
        }
    }
}

fn row(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!(
        "<tr><td>{}</td><td>{}</td></tr>\n",
        escape(name),
        escape(value)
    ));
}
