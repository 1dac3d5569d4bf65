//! What programs and single-page applications send.

use super::pages::slug;
use super::random::{Random, encode, json};
use super::words::{HOSTS, NAMES, WORDS};
use super::{Draft, Template};

pub(crate) const TEMPLATES: &[(&str, usize, Template)] = &[
    ("graphql", 250, graphql),
    ("graphql-get", 120, graphql_get),
    ("rest", 250, rest),
    ("patch", 80, patch),
    ("soap", 60, soap),
    ("logs", 80, logs),
    ("query-engine", 80, query_engine),
    ("vcs", 60, vcs),
];

fn graphql(random: &mut Random) -> Draft {
    let query = random.pick(&[
        "query Search($term: String!, $first: Int = 20, $after: String) {\n  search(term: $term, first: $first, after: $after) {\n    edges { node { id name ...ProductFields } cursor }\n    pageInfo { hasNextPage endCursor }\n  }\n}\nfragment ProductFields on Product { price { amount currency } images(first: 1) { url } }",
        "mutation UpdateProfile($input: ProfileInput!) { updateProfile(input: $input) { user { id email } errors { field message } } }",
        "subscription OnMessage { messageAdded(channel: \"general\") { id text author { name } } }",
        "query { viewer { login repositories(first: 100, orderBy: {field: UPDATED_AT, direction: DESC}) { nodes { name } } } }",
        "{ products(filter: {price: {gt: 10, lt: 50}, or: [{tag: \"a\"}, {tag: \"b\"}]}) { id } }",
    ]);
    let body = format!(
        "{{\"operationName\":\"Search\",\"variables\":{{\"term\":{},\"first\":20,\"after\":\"{}\",\"input\":{{\"name\":{},\"bio\":{}}}}},\"query\":{},\"extensions\":{{\"persistedQuery\":{{\"version\":1,\"sha256Hash\":\"{}\"}}}}}}",
        json(random.search()),
        random.base64(12),
        json(random.pick(NAMES)),
        json(random.search()),
        json(query),
        random.hex(64),
    );
    Draft::post("/graphql", "application/json", body).with("x-requested-with", "XMLHttpRequest")
}

fn graphql_get(random: &mut Random) -> Draft {
    let variables = format!(
        "{{\"rawQuery\":{},\"count\":20,\"cursor\":null,\"querySource\":\"typed_query\",\"product\":\"Top\"}}",
        json(random.search())
    );
    let features = "{\"rweb_lists_timeline_redesign_enabled\":true,\"responsive_web_graphql_exclude_directive_enabled\":true,\"view_counts_everywhere_api_enabled\":true}";
    Draft::get(format!(
        "/i/api/graphql/{}/SearchTimeline?variables={}&features={}",
        random.token(22),
        encode(&variables),
        encode(features)
    ))
    .with("x-csrf-token", random.hex(32))
    .with("x-client-transaction-id", random.base64(70))
}

fn rest(random: &mut Random) -> Draft {
    let body = format!(
        "{{\"id\":\"{}\",\"name\":{},\"description\":{},\"tags\":[\"{}\",\"{}\"],\"active\":true,\"price\":{}.5,\"callback\":\"https://{}/hooks/{}\",\"created\":\"2024-01-01T10:11:12+01:00\",\"locale\":\"en_US\",\"range\":\"0-9\",\"nested\":{{\"a\":{{\"b\":[1,2,{{\"c\":null}}]}}}},\"pattern\":\"^[a-z]+(-[a-z0-9]+)*$\",\"color\":\"#ff00aa\",\"css\":\"display:block; top:0; cursor:pointer\"}}",
        random.uuid(),
        json(random.pick(NAMES)),
        json(random.search()),
        random.pick(WORDS),
        random.pick(WORDS),
        random.digits(2),
        random.pick(HOSTS),
        slug(random),
    );
    let kind = random.pick(&[
        "application/json",
        "application/json;charset=UTF-8",
        "application/vnd.api+json",
    ]);
    Draft::post(format!("/api/v2/{}", slug(random)), kind, body)
        .with("authorization", format!("Bearer {}", random.token(60)))
        .with("x-request-id", random.uuid())
}

fn patch(random: &mut Random) -> Draft {
    let mut draft = Draft::post(
        format!("/api/items/{}", random.digits(4)),
        "application/json-patch+json",
        format!(
            "[{{\"op\":\"replace\",\"path\":\"/title\",\"value\":{}}},{{\"op\":\"test\",\"path\":\"/a/b~1c\",\"value\":null}}]",
            json(random.search())
        ),
    );
    draft.method = random.pick(&["PATCH", "PUT", "DELETE"]);
    draft
}

fn soap(random: &mut Random) -> Draft {
    let name = random.pick(NAMES).replace('&', "&amp;");
    Draft::post(
        "/services/Orders",
        random.pick(&["text/xml; charset=utf-8", "application/soap+xml", "application/xml"]),
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:o=\"urn:example:orders\">\n <soap:Body><o:Create id=\"{}\"><o:Customer>{name}</o:Customer><o:Note><![CDATA[Deliver after 5 & before 6 <please>]]></o:Note><o:Total currency=\"EUR\">10.50</o:Total></o:Create></soap:Body>\n</soap:Envelope>", random.digits(5)),
    )
    .with("soapaction", "\"urn:example:orders#Create\"")
}

fn logs(random: &mut Random) -> Draft {
    let mut body = String::new();
    for _ in 0..10 {
        body += &format!(
            "{{\"level\":\"{}\",\"msg\":{},\"ts\":{},\"caller\":\"server/handler.go:{}\",\"path\":\"/{}\",\"err\":{}}}\n",
            random.pick(&["info", "warn", "error"]),
            json(random.search()),
            random.digits(13),
            random.digits(3),
            slug(random),
            json(random.pick(&[
                "context deadline exceeded",
                "open /var/lib/app/data.db: no such file or directory",
                "exit status 1",
                "dial tcp 10.0.0.5:5432: connect: connection refused",
                "pq: duplicate key value violates unique constraint \"users_email_key\""
            ])),
        );
    }
    Draft::post("/v1/input", "application/x-ndjson", body)
}

fn query_engine(random: &mut Random) -> Draft {
    Draft::post(
        "/_search",
        "application/json",
        format!(
            "{{\"query\":{{\"bool\":{{\"must\":[{{\"match\":{{\"title\":{}}}}},{{\"range\":{{\"price\":{{\"gte\":10,\"lte\":{}}}}}}}],\"should\":[{{\"term\":{{\"tags\":\"{}\"}}}}],\"must_not\":[]}}}},\"aggs\":{{\"by_brand\":{{\"terms\":{{\"field\":\"brand.keyword\",\"order\":{{\"_count\":\"desc\"}}}}}}}},\"sort\":[{{\"_score\":\"desc\"}}],\"from\":0,\"size\":20,\"_source\":[\"id\",\"title\"]}}",
            json(random.search()),
            random.digits(3),
            random.pick(WORDS)
        ),
    )
}

fn vcs(random: &mut Random) -> Draft {
    match random.below(3) {
        0 => Draft::get(format!(
            "/{}/{}/info/refs?service=git-upload-pack",
            random.pick(WORDS),
            slug(random)
        )),
        1 => Draft::get(format!(
            "/{}/{}/compare/main...feature/{}?expand=1",
            random.pick(WORDS),
            slug(random),
            slug(random)
        )),
        _ => Draft::get(format!(
            "/{}/-/blob/main/src/{}.rs?ref_type=heads#L{}",
            slug(random),
            random.pick(WORDS),
            random.digits(2)
        )),
    }
}
