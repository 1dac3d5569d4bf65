use std::io::BufRead;

use super::*;

fn compiled(text: &str) -> JsonSchema {
    JsonSchema::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_schema_accepts_and_refuses() {
    let text = r#"{"type": "object", "required": ["name"], "additionalProperties": false,
        "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}}}"#;
    let schema = compiled(text);
    assert_eq!(schema.accepts(br#"{"name": "ann"}"#), Some(true));
    for wrong in [&br#"{"name": "Ann"}"#[..], b"{}", br#"{"name": "ann", "age": 1}"#, b"[]"] {
        assert_eq!(schema.accepts(wrong), Some(false));
    }
    assert_eq!(schema.accepts(b"{"), None);
}

#[test]
fn what_backtracks_or_fetches_is_no_schema() {
    for (text, says) in [
        (r#"{"pattern": "(a)\\1"}"#, "/pattern: "),
        (r#"{"pattern": "(?=a)b"}"#, "/pattern: "),
        (r#"{"$ref": "http://127.0.0.1:9/schema.json"}"#, "none is fetched"),
        (r#"{"$ref": "file:///etc/passwd"}"#, "none is fetched"),
    ] {
        let error = JsonSchema::compile(text).expect_err(text);
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
    assert!(matches!(JsonSchema::compile("{"), Err(SchemaError::Json(_))));
}

#[test]
fn what_is_no_schema_is_said_with_its_place() {
    for (text, place) in [
        ("5", ": expected a schema"),
        (r#"{"type": 5}"#, "/type: 5 is no type"),
        (r#"{"type": "strnig"}"#, "/type: \"strnig\" is no type"),
        (
            r#"{"properties": {"a": {"items": {"minLength": -1}}}}"#,
            "/properties/a/items/minLength: ",
        ),
        (r#"{"properties": {"a": 5}}"#, "/properties/a: expected a schema"),
        (r#"{"properties": {"a": []}}"#, "/properties/a: expected a schema"),
        (r##"{"$defs": {"a": {"required": "b"}}, "$ref": "#/$defs/a"}"##, "/$defs/a/required: "),
        (r#"{"multipleOf": 0}"#, "/multipleOf: "),
        (r#"{"anyOf": []}"#, "/anyOf: "),
        (r#"{"uniqueItems": 1}"#, "/uniqueItems: "),
        (r#"{"dependentRequired": {"a": {}}}"#, "/dependentRequired/a: "),
        (r#"{"dependentSchemas": {"a": ["b"]}}"#, "/dependentSchemas/a: "),
        (r##"{"$ref": "#/$defs/a"}"##, "/$ref: \"#/$defs/a\" leads nowhere"),
        (r##"{"$ref": "#a"}"##, "leads nowhere"),
        (r#"{"$schema": "http://example.com/mine"}"#, "$schema is "),
        (r##"{"$ref": "#"}"##, "in a circle"),
        (
            r##"{"items": {"anyOf": [{"$ref": "#/$defs/a"}]}, "$defs": {"a": {"not": {"$ref": "#/items"}}}}"##,
            "in a circle",
        ),
    ] {
        let error = JsonSchema::compile(text).expect_err(text);
        assert!(error.to_string().contains(place), "{text}: {error}");
    }
}

/// Each level asks both branches for all below it: 2^100 steps, if the same is asked twice.
#[test]
fn alternatives_that_refer_to_their_whole_are_judged_in_time() {
    let branch = r##"{"type": "array", "items": {"$ref": "#"}, "minItems": 1}"##;
    let deep = |end: &str| format!("{}{end}{}", "[".repeat(100), "]".repeat(100));
    for (keyword, one, two) in [("anyOf", true, false), ("oneOf", false, false)] {
        let schema = compiled(&format!(r#"{{"{keyword}": [{branch}, {branch}, {{"const": 1}}]}}"#));
        assert_eq!(schema.accepts(deep("1").as_bytes()), Some(one), "{keyword}");
        assert_eq!(schema.accepts(deep("2").as_bytes()), Some(two), "{keyword}");
    }
    let branch = r##"{"type": "array", "items": {"$ref": "#/not"}, "minItems": 1}"##;
    let schema =
        compiled(&format!(r#"{{"not": {{"anyOf": [{branch}, {branch}, {{"const": 1}}]}}}}"#));
    assert_eq!(schema.accepts(deep("2").as_bytes()), Some(true));
}

/// What a dynamic reference leads to depends on the way, so nothing is remembered.
#[test]
fn alternatives_that_explode_are_given_up() {
    let branch = r##"{"type": "array", "items": {"$dynamicRef": "#tree"}, "minItems": 1}"##;
    let tree =
        format!(r#"{{"$dynamicAnchor": "tree", "anyOf": [{branch}, {branch}, {{"const": 1}}]}}"#);
    let deep = format!("{}2{}", "[".repeat(100), "]".repeat(100));
    for schema in [tree.clone(), format!(r#"{{"not": {tree}}}"#)] {
        assert_eq!(compiled(&schema).accepts(deep.as_bytes()), Some(false), "{schema}");
        assert_eq!(
            compiled(&schema).accepts(b"[[2]]"),
            Some(schema.starts_with(r#"{"not"#)),
            "{schema}"
        );
    }
}

/// On a stack of two megabytes, which a worker has.
#[test]
fn the_deepest_document_has_room() {
    let text = r##"{"$defs": {"list": {"allOf": [{"$ref": "#/$defs/any"}]}, "any": {"anyOf": [
        {"type": "array", "items": {"$ref": "#/$defs/list"}}, {"const": 1}]}}, "$ref": "#/$defs/list"}"##;
    let schema = compiled(text);
    let deep = |end: &str| format!("{}{end}{}", "[".repeat(127), "]".repeat(127));
    let run = move || (schema.accepts(deep("1").as_bytes()), schema.accepts(deep("2").as_bytes()));
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
    assert_eq!(thread.join().expect("no overflow"), (Some(true), Some(false)));

    let nest = |n: usize| {
        (0..n).fold("{\"const\": 1}".to_owned(), |inner, _| format!(r#"{{"allOf": [{inner}]}}"#))
    };
    let wide = compiled(&format!(
        r##"{{"anyOf": [{}, {{"items": {{"$ref": "#"}}, "type": "array"}}]}}"##,
        nest(60)
    ));
    let run = move || wide.accepts(format!("{}1{}", "[".repeat(127), "]".repeat(127)).as_bytes());
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
    assert_eq!(thread.join().expect("no overflow"), Some(true));
}

#[test]
fn many_items_are_told_apart_in_time() {
    let schema = compiled(r#"{"uniqueItems": true}"#);
    let numbers: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    assert_eq!(schema.accepts(format!("[{}]", numbers.join(",")).as_bytes()), Some(true));
    assert_eq!(schema.accepts(format!("[{},5.0]", numbers.join(",")).as_bytes()), Some(false));
    for (text, differ) in [
        (r#"[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]"#, false),
        (r#"[{"a": 1, "b": 2}, {"a": 2, "b": 1}]"#, true),
        (r#"[[1], [true], ["1"], [null], [[1]], 1, 0, false, "", [], {}]"#, true),
        ("[0, -0.0]", false),
        ("[1e30, 1000000000000000000000000000000]", false),
        ("[0.1, 0.10]", false),
    ] {
        assert_eq!(schema.accepts(text.as_bytes()), Some(differ), "{text}");
    }
}

#[test]
fn numbers_are_compared_as_they_are() {
    for (schema, value, accepted) in [
        (r#"{"multipleOf": 0.01}"#, "19.99", true),
        (r#"{"multipleOf": 0.01}"#, "19.995", false),
        (r#"{"multipleOf": 0.1}"#, "1e300", true),
        (r#"{"multipleOf": 1e300}"#, "1", false),
        (r#"{"multipleOf": 1e300}"#, "0", true),
        (r#"{"multipleOf": 3}"#, "-9007199254740993", true),
        (r#"{"multipleOf": 3}"#, "9007199254740994", false),
        (r#"{"maximum": 9007199254740992}"#, "9007199254740993", false),
        (r#"{"maximum": 9007199254740992.0}"#, "9007199254740993", false),
        (r#"{"minimum": 18446744073709551615}"#, "18446744073709551614", false),
        (r#"{"minimum": 18446744073709551615}"#, "1e20", true),
        (r#"{"exclusiveMinimum": 1.5}"#, "2", true),
        (r#"{"exclusiveMinimum": 1.5}"#, "1", false),
        (r#"{"exclusiveMaximum": -1.5}"#, "-2", true),
        (r#"{"exclusiveMaximum": -1.5}"#, "-1", false),
        (r#"{"maximum": 1e300}"#, "5", true),
        (r#"{"minimum": -1e300}"#, "-5", true),
        (r#"{"type": "integer"}"#, "1e300", true),
        (r#"{"type": "integer"}"#, "1.5", false),
    ] {
        assert_eq!(compiled(schema).accepts(value.as_bytes()), Some(accepted), "{schema} {value}");
    }
}

/// The bound on schemas within one another holds before the stack ends.
#[test]
fn schemas_within_schemas_without_end_are_given_up() {
    let nest = |last: String| (0..60).fold(last, |inner, _| format!(r#"{{"allOf": [{inner}]}}"#));
    let link = |n| format!(r##""{n}": {}"##, nest(format!(r##"{{"$ref": "#/$defs/{}"}}"##, n + 1)));
    let links = |n: usize| (0..n).map(link).collect::<Vec<_>>().join(", ");
    let chain = |n| format!(r##"{{"$defs": {{{}, "{n}": true}}, "$ref": "#/$defs/0"}}"##, links(n));
    for (n, accepted) in [(16, true), (17, false), (200, false)] {
        let schema = compiled(&chain(n));
        let run = move || schema.accepts(b"1");
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
        assert_eq!(thread.join().expect("no overflow"), Some(accepted), "{n}");
    }
}

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
    let (mut judged, mut elsewhere, mut wrong) = (0, 0, Vec::new());
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
    assert_eq!((judged, elsewhere), (5284, 79));
}
