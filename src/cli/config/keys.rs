//! The settings as a table: their names, an example of each, and from these the example file, the schema and the names of the
//! environment variables. A test compares the table with what the parser knows, so no setting can be forgotten here.

use crate::cli::args::Cli;
use bivouac::Request;
use bivouac::policy::{DEFAULTS, short_name, signal_named};
use clap::{Arg, Command, CommandFactory};
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

/// A setting. Its name is that of an option. If it is in a table, a dot takes the place of the first hyphen.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// An example of a value, in TOML.
    example: &'static str,
    /// Whether the value may be a number, without quotes.
    takes_numbers: bool,
}

const fn text(name: &'static str, example: &'static str) -> Key {
    Key { name, example, takes_numbers: false }
}

const fn number(name: &'static str, example: &'static str) -> Key {
    Key { name, example, takes_numbers: true }
}

/// All settings, except the table `[signals]`.
pub(crate) const KEYS: [Key; 17] = [
    number("jobs", "4"),
    number("max-jobs", "16"),
    number("limit-rate", "\"200MiB\""),
    number("grace", "\"30s\""),
    number("kill-after", "\"10s\""),
    number("checkpoint-every", "\"5s\""),
    number("max-runtime", "\"55m\""),
    number("spill-limit", "\"20GiB\""),
    number("stop-code", "85"),
    text("on-finish", "'echo \"$BIVOUAC_MESSAGE\" | mail -s \"$BIVOUAC_EVENT: $BIVOUAC_OUTPUT\" root'"),
    text("on-stop", "'logger -t bivouac \"$BIVOUAC_MESSAGE\"'"),
    text("on-failure", "'logger -t bivouac -p user.err \"$BIVOUAC_MESSAGE\"'"),
    text("metrics", "\"/var/lib/prometheus/node-exporter/job.prom\""),
    number("metrics-listen", "\"127.0.0.1:9464\""),
    text("log.file", "\"/var/log/job.log\""),
    text("log.format", "\"json\""),
    text("log.level", "\"debug\""),
];

impl Key {
    /// The table of the setting, if it is in one, and its name there.
    pub(crate) fn place(&self) -> (Option<&'static str>, &'static str) {
        self.name.split_once('.').map_or((None, self.name), |(table, name)| (Some(table), name))
    }

    /// The environment variable of the same meaning: `BIVOUAC_MAX_JOBS`.
    pub(crate) fn variable(&self) -> String {
        format!("BIVOUAC_{}", self.name.to_uppercase().replace(['-', '.'], "_"))
    }

    /// A configuration with this setting alone.
    pub(super) fn alone(&self, value: String) -> toml::Table {
        let table = |name: &str, value| toml::Table::from_iter([(name.to_string(), value)]);
        match self.place() {
            (None, name) => table(name, toml::Value::String(value)),
            (Some(within), name) => {
                table(within, toml::Value::Table(table(name, toml::Value::String(value))))
            }
        }
    }

    /// The option of the same meaning.
    pub(crate) fn option<'c>(&self, verb: &'c Command) -> Option<&'c Arg> {
        let name = self.name.replace('.', "-");
        verb.get_arguments().find(|option| option.get_long() == Some(&name))
    }

    /// The text of `--help` about it.
    pub(crate) fn help(&self, verb: &Command) -> String {
        let help = |option: &Arg| option.get_long_help().or(option.get_help()).map(ToString::to_string);
        self.option(verb).and_then(help).unwrap_or_default()
    }

    fn schema(&self, verb: &Command) -> Value {
        let values = self.option(verb).map(Arg::get_possible_values).unwrap_or_default();
        let names: Vec<_> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
        let description = self.help(verb);
        match (names.is_empty(), self.takes_numbers) {
            (false, _) => json!({ "description": description, "enum": names }),
            (true, true) => json!({ "description": description, "type": ["string", "number"] }),
            (true, false) => json!({ "description": description, "type": "string" }),
        }
    }
}

/// A verb that has all of these options.
pub(crate) fn verb() -> Command {
    let mut main = Cli::command();
    main.build();
    main.find_subcommand("each").cloned().unwrap_or(main)
}

/// A whole configuration in which nothing is set: each setting is commented out, below its explanation.
pub(crate) fn example() -> String {
    let verb = verb();
    let mut page = ABOUT.to_string();
    let mut table = None;
    for key in &KEYS {
        let (within, name) = key.place();
        if within != table {
            table = within;
            page.push_str(&format!("\n[{}]\n", within.unwrap_or_default()));
        }
        let help = format!(
            "{} ({})",
            key.help(&verb).split_whitespace().collect::<Vec<_>>().join(" "),
            key.variable()
        );
        page.push_str(&format!("\n{}#{name} = {}\n", comment(&help), key.example));
    }
    page.push_str("\n[signals]\n\n");
    page.push_str(&comment(
        "What a signal means, as --on says it. These are the defaults; `bivouac signals` explains them.",
    ));
    for (signal, request) in DEFAULTS {
        page.push_str(&format!("#{} = \"{}\"\n", short_name(signal), request.name()));
    }
    page
}

const ABOUT: &str = "\
# Settings of a job: bivouac VERB … --config FILE, or BIVOUAC_CONFIG=FILE.
#
# A setting has the name and the values of an option. The option counts more, and so does the
# environment variable in brackets. Remove the # in front of a setting to make it count.
";

/// Text as comments of at most 100 columns.
fn comment(text: &str) -> String {
    let mut lines = vec!["#".to_string()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < 100 => line.extend([" ", word]),
            Some(_) | None => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n") + "\n"
}

/// The settings as JSON Schema, which editors and linters read for TOML too.
pub(crate) fn schema() -> Value {
    let verb = verb();
    let (mut plain, mut tables) = (Map::new(), Map::new());
    for key in &KEYS {
        let (within, name) = key.place();
        match within {
            None => drop(plain.insert(name.to_string(), key.schema(&verb))),
            Some(table) => {
                let of_table = tables.entry(table).or_insert_with(|| closed(Map::new()));
                of_table["properties"][name] = key.schema(&verb);
            }
        }
    }
    plain.append(&mut tables);
    // The names of signals that may have a meaning, with or without `SIG`.
    let names: Vec<_> =
        Signal::iterator().map(short_name).filter(|name| signal_named(name).is_ok()).collect();
    plain.insert(
        "signals".to_string(),
        json!({
            "type": "object",
            "propertyNames": { "pattern": format!("^(SIG)?({})$", names.join("|")) },
            "additionalProperties": { "enum": Request::ALL.map(Request::name) },
        }),
    );
    let mut schema = closed(plain);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("bivouac.toml");
    schema
}

fn closed(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}
