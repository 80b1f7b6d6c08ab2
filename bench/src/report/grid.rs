//! Tables of many alike runs as one self-contained page.

use super::html::{Split, document};
use super::plot::{Bar, bars, escape};

/// A table.
pub(crate) struct Grid {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A picture of CPU: name, the server's process, the whole machine.
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) bars: Vec<(String, f64, f64)>,
}

pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) grid: Grid,
    /// Plots, as HTML.
    pub(crate) pictures: String,
    pub(crate) notes: Vec<String>,
}

/// The page.
pub(crate) fn page(title: &str, sub: &str, about: &[String], sections: &[Section]) -> String {
    let mut body = format!(
        "<h1>{}</h1>\n<p class=\"sub\">{}</p>\n",
        escape(title),
        escape(sub)
    );
    body.push_str(&paragraphs(about));
    for section in sections {
        let title = escape(&section.title);
        body.push_str(&format!(
            "<section><h2>{title}</h2>\n{}",
            table(&section.grid)
        ));
        body.push_str(&paragraphs(&section.notes));
        body.push_str(&section.pictures);
        body.push_str("</section>\n");
    }
    document(&escape(title), &body)
}

pub(crate) fn paragraphs(texts: &[String]) -> String {
    let paragraphs = texts
        .iter()
        .map(|text| format!("<p class=\"sub\">{}</p>\n", escape(text)));
    paragraphs.collect()
}

/// A rule where the first column changes.
pub(crate) fn table(grid: &Grid) -> String {
    let cells = |row: &[String], tag: &str| -> String {
        let cells = row
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
        cells.collect()
    };
    let mut text = format!(
        "<div class=\"cells\"><table><tr>{}</tr>\n",
        cells(&grid.columns, "th")
    );
    let mut last = None;
    for row in &grid.rows {
        let class = match last.is_some() && last != row.first() {
            true => " class=\"part\"",
            false => "",
        };
        text.push_str(&format!("<tr{class}>{}</tr>\n", cells(row, "td")));
        last = row.first();
    }
    text.push_str("</table></div>\n");
    text
}

pub(crate) fn picture(of: &Bars) -> String {
    let bar = |(name, process, machine): &(String, f64, f64)| {
        Split::server(*process, *machine).bar(name, 1.0)
    };
    let rows: Vec<Bar<'_>> = of.bars.iter().map(bar).collect();
    format!(
        "<h3>{}</h3>\n{}",
        escape(&of.title),
        bars(&of.title, of.unit, &rows)
    )
}
