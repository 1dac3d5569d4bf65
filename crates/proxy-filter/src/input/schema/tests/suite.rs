//! The suite of json-schema.org.

use std::io::BufRead;

use super::super::{ContentSchema, JsonSchema, SchemaError};

fn leads_elsewhere(error: &str) -> bool {
    // Drafts of its own, which other documents define.
    error.contains("none is fetched") || error.contains("$schema is \"http://localhost:1234")
}

/// One group of the suite of json-schema.org: a schema, and what it says of some values.
#[derive(serde::Deserialize)]
struct Group {
    draft: String,
    file: String,
    description: String,
    schema: serde_json::Value,
    tests: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    description: String,
    data: serde_json::Value,
    valid: bool,
}

/// What the suite has that leads to other documents is an error here, and nothing else is.
#[test]
fn the_suite_of_json_schema_org() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/json-schema-suite.jsonl.gz");
    let file = std::fs::File::open(path).expect(path);
    let lines = std::io::BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    let (mut judged, mut elsewhere, mut newer, mut wrong) = (0, 0, 0, Vec::new());
    for line in lines {
        let mut group: Group = serde_json::from_str(&line.expect("a line")).expect("a group");
        let drafts = "https://json-schema.org/draft";
        let draft = match &*group.draft {
            "draft4" => "http://json-schema.org/draft-04/schema#".to_owned(),
            "draft6" => "http://json-schema.org/draft-06/schema#".to_owned(),
            "draft7" => "http://json-schema.org/draft-07/schema#".to_owned(),
            newer => format!("{drafts}/{}/schema", newer.trim_start_matches("draft")),
        };
        if let serde_json::Value::Object(keywords) = &mut group.schema {
            keywords.entry("$schema").or_insert(draft.into());
        }
        let name = format!("{} {}: {}", group.draft, group.file, group.description);
        let schema = match JsonSchema::compile(&group.schema.to_string()) {
            Ok(schema) => schema,
            Err(SchemaError::Schema(error)) if leads_elsewhere(&error) => {
                elsewhere += 1;
                continue;
            }
            // One group of draft 4 counts on `const` to be passed over.
            Err(SchemaError::Schema(error)) if error.contains("draft 4 has no such keyword") => {
                newer += 1;
                continue;
            }
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        for case in group.tests {
            judged += 1;
            if schema.accepts(case.data.to_string().as_bytes()) != Some(case.valid) {
                wrong.push(format!("{name}: {}: valid is {}", case.description, case.valid));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((judged, elsewhere, newer), (5281, 79, 1));
}
