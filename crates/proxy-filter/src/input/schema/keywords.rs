//! What is read out of a schema's keywords.

use super::check::{Bound, Check, Count, Names, Types};
use super::draft::Draft;
use super::expression::Expression;
use super::number::{Decimal, Exact, compare, exact, is_whole};
use super::value::{Members, Value};

/// Of values of any type.
pub(super) fn of_any(
    draft: Draft,
    keywords: &Members<'_>,
    checks: &mut Vec<Check>,
) -> Result<(), String> {
    if let Some(named) = keywords.get("type") {
        checks.push(Check::Type(types(named, draft)?));
    }
    if let Some(constant) = keywords.get("const") {
        checks.push(Check::Const(constant.to_owned()));
    }
    if let Some(values) = keywords.get("enum") {
        let values = values.items().ok_or("/enum: expected a list of values")?;
        let mut texts: Vec<Box<str>> =
            values.iter().filter_map(Value::text).map(Into::into).collect();
        texts.sort_unstable();
        let mut numbers: Vec<Exact> = values.iter().filter_map(Value::number).map(exact).collect();
        numbers.sort_unstable_by(|one, other| compare(*one, *other));
        let others =
            values.iter().filter(|value| value.text().is_none() && value.number().is_none());
        checks.push(Check::Enum {
            texts: texts.into(),
            numbers: numbers.into(),
            others: others.map(Value::to_owned).collect(),
        });
    }
    Ok(())
}

fn types(named: &Value<'_>, draft: Draft) -> Result<Types, String> {
    let list = named.items().unwrap_or(std::slice::from_ref(named));
    if list.is_empty() {
        return Err("/type: expected at least one type".to_owned());
    }
    let mut types = Types::default();
    for name in list {
        let name = name.text().ok_or("/type: expected a type or a list of types")?;
        if !types.add(name, draft == Draft::D4) {
            return Err(format!(
                "/type: {name:?} is no type: expected null, boolean, object, array, number, string or integer"
            ));
        }
    }
    Ok(types)
}

pub(super) fn of_numbers(
    draft: Draft,
    keywords: &Members<'_>,
    checks: &mut Vec<Check>,
) -> Result<(), String> {
    let limit = |keyword: &str| -> Result<Option<Exact>, String> {
        let wrong = || format!("/{keyword}: expected a number");
        let number = |value: &Value<'_>| value.number().map(exact).ok_or_else(wrong);
        keywords.get(keyword).map(number).transpose()
    };
    for (inclusive, strict, lower) in
        [("minimum", "exclusiveMinimum", true), ("maximum", "exclusiveMaximum", false)]
    {
        let own = limit(inclusive)?;
        let exclusive = draft == Draft::D4 && flag(keywords, strict)?;
        if exclusive && own.is_none() {
            return Err(format!("/{strict}: says nothing without {inclusive} in draft 4"));
        }
        checks.extend(own.map(|limit| Check::Bound(Bound { limit, lower, exclusive })));
        if draft > Draft::D4 {
            let limit = limit(strict)?;
            checks.extend(limit.map(|limit| Check::Bound(Bound { limit, lower, exclusive: true })));
        }
    }
    if let Some(unit) = keywords.get("multipleOf") {
        let above_0 = |unit: &_| compare(exact(*unit), Exact::Whole(0)).is_gt();
        let unit = unit.number().filter(above_0).ok_or("/multipleOf: expected a number above 0")?;
        checks.push(Check::MultipleOf(Decimal::of(unit)));
    }
    Ok(())
}

pub(super) fn of_texts(keywords: &Members<'_>, checks: &mut Vec<Check>) -> Result<(), String> {
    checks.extend(count(keywords, "minLength", "maxLength")?.map(Check::Length));
    if let Some(pattern) = keywords.get("pattern") {
        let pattern = pattern.text().ok_or("/pattern: expected an expression")?;
        let pattern = Expression::new(pattern).map_err(|error| format!("/pattern: {error}"))?;
        checks.push(Check::Pattern(Box::new(pattern)));
    }
    Ok(())
}

/// None where neither is said.
pub(super) fn count(
    keywords: &Members<'_>,
    least: &str,
    most: &str,
) -> Result<Option<Count>, String> {
    let number = |keyword: &str| {
        let whole = |number: &Value<'_>| match exact(number.number().filter(|n| is_whole(*n))?) {
            Exact::Whole(count) if count >= 0 => Some(u64::try_from(count).unwrap_or(u64::MAX)),
            Exact::Float(count) if count > 0.0 => Some(u64::MAX),
            _ => None,
        };
        let wrong = || format!("/{keyword}: expected a whole number, 0 or more");
        keywords.get(keyword).map(|number| whole(number).ok_or_else(wrong)).transpose()
    };
    Ok(match (number(least)?, number(most)?) {
        (None, None) => None,
        (least, most) => Some(Count { least: least.unwrap_or(0), most: most.unwrap_or(u64::MAX) }),
    })
}

pub(super) fn flag(keywords: &Members<'_>, keyword: &str) -> Result<bool, String> {
    match keywords.get(keyword) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(format!("/{keyword}: expected true or false")),
    }
}

pub(super) fn names(list: &Value<'_>) -> Option<Names> {
    list.items()?.iter().map(|name| name.text().map(Into::into)).collect()
}
