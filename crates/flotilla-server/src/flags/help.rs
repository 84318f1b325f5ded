//! The help, made from the table of flags.

use super::table::{FLAGS, Flag, Group, Takes};

/// Columns before the explanations.
const COLUMN: usize = 38;
/// Columns in all.
const WIDTH: usize = 100;

const GROUPS: [(Group, &str); 6] = [
    (Group::Server, "Server"),
    (Group::Logging, "Logging"),
    (Group::JetStream, "JetStream"),
    (Group::Authorization, "Authorization"),
    (Group::Cluster, "Cluster"),
    (Group::Common, "Common"),
];

/// The help of a program of this name.
pub fn help(program: &str) -> String {
    let mut help = format!(
        "\nUsage: {program} [flags]\n\nFlags win over the configuration. One dash or two, `-port 4222` or `-port=4222`.\n"
    );
    for (group, title) in GROUPS {
        help.push_str(&format!("\n{title}:\n"));
        for flag in FLAGS.iter().filter(|flag| flag.group == group) {
            push_flag(&mut help, flag);
        }
    }
    help.push_str("\nThe configuration's options: docs/configuration.md\n");
    help
}

fn push_flag(help: &mut String, flag: &Flag) {
    let names: Vec<String> = flag
        .names
        .iter()
        .map(|name| format!("{}{name}", if name.len() > 3 { "--" } else { "-" }))
        .collect();
    let mut line = format!("    {}", names.join(", "));
    if let Takes::Text(value, _) | Takes::Number(value, _) = flag.takes {
        line.push_str(&format!(" <{value}>"));
    }
    for word in flag.help.split(' ') {
        if line.len() < COLUMN {
            line.push_str(&" ".repeat(COLUMN - line.len()));
        } else if line.len() + 1 + word.len() > WIDTH {
            help.push_str(line.trim_end());
            help.push('\n');
            line = " ".repeat(COLUMN);
        } else {
            line.push(' ');
        }
        line.push_str(word);
    }
    help.push_str(&line);
    help.push('\n');
}
