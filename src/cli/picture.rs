//! Pictures of rules in the DOT language of Graphviz: boxes, arrows and frames.

use std::fmt::Write as _;

/// A picture under construction: boxes and arrows, written in the order in which they are added.
#[derive(Clone, Debug, Default)]
pub struct Dot {
    body: String,
    boxes: usize,
    indent: usize,
}

/// A box of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BoxId(usize);

/// What a box stands for, which shows in its shape and colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// An operator.
    Operator,
    /// Something computed from weights alone.
    Constant,
    /// An input or an output.
    End,
}

impl Dot {
    /// An empty picture.
    pub fn new() -> Dot {
        Dot { indent: 2, ..Dot::default() }
    }

    /// Adds a box with these lines of text.
    pub fn add_box(&mut self, look: Look, lines: &[String]) -> BoxId {
        let style = match look {
            Look::Operator => "shape=box, style=\"rounded,filled\", fillcolor=\"#e8f0fe\"",
            Look::Constant => "shape=box, style=filled, fillcolor=\"#f1f3f4\", fontcolor=\"#5f6368\"",
            Look::End => "shape=ellipse",
        };
        let label: Vec<String> = lines.iter().map(|line| escape(line)).collect();
        let id = BoxId(self.boxes);
        self.boxes += 1;
        self.line(format_args!("n{} [label=\"{}\", {style}];", id.0, label.join("\\n")));
        id
    }

    /// Adds an arrow.
    pub fn add_arrow(&mut self, from: BoxId, to: BoxId, text: &str) {
        match text {
            "" => self.line(format_args!("n{} -> n{};", from.0, to.0)),
            text => self.line(format_args!("n{} -> n{} [label=\"{}\"];", from.0, to.0, escape(text))),
        }
    }

    /// Begins a frame with a title around the boxes that follow.
    pub fn begin_frame(&mut self, title: &str) {
        let number = self.boxes;
        self.line(format_args!("subgraph cluster_{number} {{"));
        self.indent += 2;
        self.line(format_args!("label=\"{}\"; color=\"#9aa0a6\";", escape(title)));
    }

    /// Ends the frame.
    pub fn end_frame(&mut self) {
        self.indent -= 2;
        self.line(format_args!("}}"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        let indent = self.indent;
        writeln!(self.body, "{:indent$}{text}", "").expect("a string can be written to");
    }

    /// The text of the picture.
    pub fn finish(self, name: &str) -> String {
        let fonts = "  node [fontname=\"Helvetica\", fontsize=10];\n  edge [fontname=\"Helvetica\", fontsize=9];\n";
        format!("digraph \"{}\" {{\n{fonts}{}}}\n", escape(name), self.body)
    }
}

/// Text inside a quoted string of DOT.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        let mut dot = Dot::new();
        let a = dot.add_box(Look::End, &["a\"]; evil [\"".to_owned(), "b\\".to_owned()]);
        dot.begin_frame("t");
        let b = dot.add_box(Look::Operator, &["line\nbreak".to_owned()]);
        dot.end_frame();
        dot.add_arrow(a, b, "");
        let text = dot.finish("g");
        assert!(text.contains(r#"label="a\"]; evil [\"\nb\\", shape=ellipse"#), "{text}");
        assert!(text.contains("label=\"line break\""), "{text}");
        assert!(text.contains("  n0 -> n1;\n"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
