// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tables as one CSV file: a line a value, so that tables of any shape fit and a spreadsheet can pivot.

use std::io::Write;

use super::{Report, Table};

impl Report {
    /// Writes every value of every table: columns `table`, `row`, `column`, `value`.
    ///
    /// # Errors
    /// What `out` refuses.
    pub fn write_csv(&self, out: impl Write) -> std::io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["table", "row", "column", "value"])?;
        for table in &self.tables {
            write_table(&mut writer, table)?;
        }
        writer.flush()
    }
}

fn write_table(writer: &mut csv::Writer<impl Write>, table: &Table) -> std::io::Result<()> {
    for row in &table.rows {
        let (keys, values) = row.split_at(table.keys.min(row.len()));
        let about = keys.join("; ");
        for (column, value) in table.columns[keys.len()..].iter().zip(values) {
            writer.write_record([&table.title, &about, column, value])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::table;
    use super::*;

    #[test]
    fn each_value_has_a_line_and_quotes_are_kept() {
        let report = Report {
            tables: vec![table()],
            ..Report::default()
        };
        let mut out = Vec::new();
        report.write_csv(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "table,row,column,value\n\
             latency,node 0,to 0 (ns),90.0\n\
             latency,node 0,to 1 (ns),153.5\n\
             latency,\"node 1, \"\"far\"\"\",to 0 (ns),7.0\n\
             latency,\"node 1, \"\"far\"\"\",to 1 (ns),-\n"
        );
    }
}
