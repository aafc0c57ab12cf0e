//! Rows for a database: llama-bench's names and units where it has the same (its `-o sql`),
//! ours behind them.

use serde_json::{Value, json};

use super::{Row, SpeedReport};

/// Name and SQL type of every column, llama-bench's first.
const COLUMNS: [(&str, &str); 43] = [
    ("build_commit", "TEXT"),
    ("cpu_info", "TEXT"),
    ("backends", "TEXT"),
    ("model_filename", "TEXT"),
    ("model_type", "TEXT"),
    ("model_size", "INTEGER"),
    ("n_batch", "INTEGER"),
    ("n_ubatch", "INTEGER"),
    ("n_threads", "INTEGER"),
    ("type_k", "TEXT"),
    ("type_v", "TEXT"),
    ("n_prompt", "INTEGER"),
    ("n_gen", "INTEGER"),
    ("n_depth", "INTEGER"),
    ("avg_ns", "INTEGER"),
    ("avg_ts", "REAL"),
    ("device", "TEXT"),
    ("isa", "TEXT"),
    ("cores", "INTEGER"),
    ("kernel", "TEXT"),
    ("format", "TEXT"),
    ("case_name", "TEXT"),
    ("context", "INTEGER"),
    ("runs", "INTEGER"),
    ("least_ts", "REAL"),
    ("most_ts", "REAL"),
    ("peer", "TEXT"),
    ("peer_ts", "REAL"),
    ("peer_least_ts", "REAL"),
    ("peer_most_ts", "REAL"),
    ("ratio", "REAL"),
    ("limit_name", "TEXT"),
    ("limit_value", "REAL"),
    ("limit_unit", "TEXT"),
    ("share_of_limit", "REAL"),
    ("peak_rss_bytes", "INTEGER"),
    ("peer_peak_rss_bytes", "INTEGER"),
    ("load_seconds", "REAL"),
    ("peer_load_seconds", "REAL"),
    ("time_to_first_token", "REAL"),
    ("peer_time_to_first_token", "REAL"),
    ("energy_joules", "REAL"),
    ("emulated", "INTEGER"),
];

/// The values of a row, in the order of [`COLUMNS`]; what was not measured is null. `avg_ts` is the
/// median of the runs, and `avg_ns` what the case takes at that speed.
fn values(report: &SpeedReport, row: &Row) -> [Value; 43] {
    let (device, spread, case) = (&report.device, &row.spread, row.case);
    let limit = row.limit.as_ref();
    [
        json!(device.commit),
        json!(device.cpu),
        json!("CPU"),
        json!(row.model),
        json!(format!("{} {}", row.model, row.format)),
        json!(row.model_bytes),
        json!(row.chunk),
        json!(row.chunk),
        json!(row.threads),
        json!(row.cache_type_k.name()),
        json!(row.cache_type_v.name()),
        json!(case.prompt()),
        json!(case.generated()),
        json!(case.depth()),
        json!((case.tokens() as f64 / row.tokens_per_second * 1e9).round()),
        json!(row.tokens_per_second),
        json!(device.name),
        json!(device.isa),
        json!(device.cores),
        json!(device.kernel),
        json!(row.format),
        json!(case.to_string()),
        json!(row.context),
        json!(spread.count),
        json!(spread.least),
        json!(spread.most),
        json!(row.peer),
        json!(row.peer_tokens_per_second),
        json!(row.peer_spread.map(|spread| spread.least)),
        json!(row.peer_spread.map(|spread| spread.most)),
        json!(row.ratio),
        json!(limit.map(|limit| &limit.name)),
        json!(limit.map(|limit| limit.value)),
        json!(limit.map(|limit| &limit.unit)),
        json!(row.share_of_limit),
        json!(row.peak_rss_bytes),
        json!(row.peer_peak_rss_bytes),
        json!(row.load_seconds),
        json!(row.peer_load_seconds),
        json!(row.time_to_first_token),
        json!(row.peer_time_to_first_token),
        json!(row.energy_joules),
        json!(u8::from(device.emulated)),
    ]
}

impl SpeedReport {
    /// Statements that make a table `edgeformer_bench`, if it is not there, and fill it.
    pub fn to_sql(&self) -> String {
        let columns: Vec<String> =
            COLUMNS.iter().map(|(name, kind)| format!("  {name} {kind}")).collect();
        let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let insert = |row: &Row| {
            let values: Vec<String> = values(self, row).iter().map(sql).collect();
            let (names, values) = (names.join(", "), values.join(", "));
            format!("INSERT INTO edgeformer_bench ({names}) VALUES ({values});\n")
        };
        let rows: String = self.rows.iter().map(insert).collect();
        let columns = columns.join(",\n");
        format!("CREATE TABLE IF NOT EXISTS edgeformer_bench (\n{columns}\n);\n\n{rows}")
    }

    /// The same columns as CSV (RFC 4180); what was not measured is empty.
    pub fn to_csv(&self) -> String {
        let header: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let line = |row: &Row| {
            let values: Vec<String> = values(self, row).iter().map(csv).collect();
            values.join(",") + "\n"
        };
        let rows: String = self.rows.iter().map(line).collect();
        header.join(",") + "\n" + &rows
    }
}

fn sql(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    }
}

fn csv(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains([',', '"', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_have_a_value_for_every_column() {
        let mut report = SpeedReport::made_up();
        report.device.cpu = "it's, \"quoted\"".into();
        insta::assert_snapshot!(report.to_sql());
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let mut report = SpeedReport::made_up();
        report.device.cpu = "it's, \"quoted\"".into();
        let text = report.to_csv();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("build_commit,cpu_info,backends,"), "{text}");
        assert!(lines[1].starts_with("abc,\"it's, \"\"quoted\"\"\",CPU,toy,"), "{text}");
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].split(',').count(), lines[2].split(',').count() - 1, "one comma more");
        assert!(lines[1].ends_with(",,0"), "energy that was not measured is empty: {text}");
    }
}
