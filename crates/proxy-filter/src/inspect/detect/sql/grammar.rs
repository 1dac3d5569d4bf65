//! The reader of expressions.

mod evidence;
mod statement;

use super::token::{Token, Tokens};
use super::words::Word;
use super::{Signal, Signals, TOKENS};

/// Where a value may have landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// Where an operand stands.
    Bare,
    /// Inside a string, which the value has closed. `plain` says that it is an apostrophe that
    /// closed it, and that what stands before it is one word or nothing.
    Quoted { plain: bool },
}

/// After a string that an apostrophe closed, with a word or nothing in it.
const PLAIN: Context = Context::Quoted { plain: true };

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The value begins: an operand, or what follows one.
    Start,
    /// An operand.
    Operand,
    /// What follows an operand.
    After,
    /// After `UNION`.
    Union,
    /// A statement, after a semicolon.
    Statement,
    /// `BY`.
    By,
    /// A name: after `AS`, `COLLATE`, `::`.
    Name,
    /// What `INTO` writes to.
    Into,
}

/// What the last operand was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Constant,
    String,
    Name,
    Call,
    Group,
}

/// Reads one value in one context.
pub(super) struct Reader<'a> {
    tokens: Tokens<'a>,
    context: Context,
    state: State,
    signals: Signals,
    /// How many parentheses of the statement around were closed.
    closed: usize,
    depth: usize,
    /// What the value began with.
    first: Option<Kind>,
    last: Kind,
    /// A boolean operator was read, and this operand came after it.
    logic: Option<Kind>,
    logic_open: bool,
    compared: bool,
    /// A function of databases was called in the condition.
    called: bool,
    /// The value begins as a comparison: it is a condition by itself, and joins nothing on.
    is_condition: bool,
    /// A `SELECT` was read: how sure it is that it is one.
    select: Option<Select>,
    /// Something other than words.
    syntax: bool,
    clause: bool,
    /// After the end of a string something is compared.
    expression: bool,
    /// An operator was read.
    operated: bool,
    /// The last string was not closed.
    open_string: bool,
    alias: bool,
    in_from: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Select {
    Union,
    Sub,
    Statement,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8], context: Context) -> Self {
        let quoted = context != Context::Bare;
        Self {
            tokens: Tokens::new(text),
            context,
            state: if quoted { State::After } else { State::Start },
            signals: Signals::default(),
            closed: 0,
            depth: 0,
            first: None,
            last: Kind::String,
            logic: None,
            logic_open: false,
            compared: false,
            called: false,
            is_condition: false,
            select: None,
            syntax: quoted,
            clause: false,
            expression: false,
            operated: false,
            open_string: false,
            alias: false,
            in_from: false,
        }
    }

    /// Whether the value has left the place it was put in.
    fn broken_out(&self) -> bool {
        self.context != Context::Bare || self.closed > 0
    }

    /// Whether the value begins as values do that are injected where a number stands.
    fn plain_start(&self) -> bool {
        matches!(self.first, None | Some(Kind::Constant | Kind::String | Kind::Group))
    }

    /// Reads until the tokens no longer fit, or end.
    pub(super) fn read(mut self) -> Signals {
        for _ in 0..TOKENS {
            let Some(token) = self.tokens.next() else {
                self.end(false);
                return self.signals;
            };
            if let Token::Comment { mark, rest, last } = token {
                if last {
                    self.comment(mark, rest);
                    self.end(true);
                    return self.signals;
                }
                continue;
            }
            if !self.step(token) {
                return self.signals;
            }
        }
        self.signals
    }

    /// Takes a token; gives whether it fits.
    fn step(&mut self, token: Token) -> bool {
        match self.state {
            State::Start => self.start(token),
            State::Operand => self.operand(token),
            State::After => self.after(token),
            State::Union => self.union(token),
            State::Statement => self.statement(token),
            State::By => self.expect(token == Token::Word(Word::By), State::Operand),
            State::Name => self.name(token),
            State::Into => self.target_of_into(token),
        }
    }

    fn expect(&mut self, fits: bool, next: State) -> bool {
        self.state = next;
        fits
    }

    fn start(&mut self, token: Token) -> bool {
        match token {
            Token::Word(
                Word::Logic
                | Word::Union
                | Word::Order
                | Word::Where
                | Word::Limit
                | Word::Into
                | Word::Procedure
                | Word::Compare,
            )
            | Token::Close
            | Token::Comma
            | Token::Semicolon
            | Token::Logic => {
                self.first = None;
                self.state = State::After;
                self.after(token)
            }
            Token::Word(
                Word::Insert
                | Word::Update
                | Word::Delete
                | Word::Define
                | Word::Execute
                | Word::Declare
                | Word::Wait,
            ) => self.statement(token),
            Token::Word(Word::Select) => {
                self.select = Some(Select::Statement);
                self.state = State::Operand;
                true
            }
            _ => {
                self.state = State::Operand;
                self.operand(token)
            }
        }
    }

    fn operand(&mut self, token: Token) -> bool {
        let kind = match token {
            Token::Number | Token::Variable | Token::Word(Word::Constant) => Kind::Constant,
            Token::String { closed } => {
                self.open_string = !closed;
                Kind::String
            }
            Token::Name | Token::Word(Word::Delay | Word::Object) => Kind::Name,
            // Words that are also names of columns.
            Token::Word(Word::Option | Word::Begin | Word::Other) => Kind::Name,
            Token::Call(call) => {
                self.called(call);
                self.last = Kind::Call;
                if self.logic_open {
                    self.logic = Some(Kind::Call);
                }
                self.first.get_or_insert(Kind::Call);
                return true;
            }
            Token::Star => {
                self.last = Kind::Constant;
                self.syntax = true;
                self.state = State::After;
                return self.select.is_some() || self.depth > 0;
            }
            Token::Open => {
                self.depth += 1;
                self.first.get_or_insert(Kind::Group);
                self.syntax = true;
                return true;
            }
            // An empty list of arguments.
            Token::Close => {
                if self.depth == 0 || !matches!(self.last, Kind::Call) {
                    return false;
                }
                self.depth -= 1;
                self.finish_operand(Kind::Call);
                return true;
            }
            // `LIKE(x, y)`, and what only MySQL takes for an operand.
            Token::Word(Word::Compare) => {
                self.last = Kind::Call;
                return self.compared || self.select.is_some();
            }
            Token::Operator { unary: true } | Token::Word(Word::Not | Word::Prefix) => return true,
            // `TOP 1 name`: the number is no operand.
            Token::Word(Word::Top) => {
                return self.select.is_some() && matches!(self.tokens.next(), Some(Token::Number));
            }
            // `x IS NOT NULL`, `LIKE BINARY`, `>= ALL`; `1 or = 1` is none.
            Token::Brace => return self.brace(),
            Token::Word(Word::Case) => {
                self.syntax = true;
                return true;
            }
            Token::Word(Word::Branch) => return true,
            Token::Word(Word::Select) => {
                if self.state == State::Operand && self.select != Some(Select::Union) {
                    self.select = Some(Select::Sub);
                }
                return true;
            }
            Token::Word(Word::Values) => return true,
            _ => return false,
        };
        self.finish_operand(kind);
        true
    }

    /// `{x 1}` of ODBC and MySQL.
    fn brace(&mut self) -> bool {
        self.syntax = true;
        match self.tokens.next() {
            Some(Token::Name | Token::Word(_)) => {
                self.state = State::Operand;
                true
            }
            Some(Token::Call(call)) => {
                self.called(call);
                self.last = Kind::Call;
                true
            }
            _ => false,
        }
    }

    fn finish_operand(&mut self, kind: Kind) {
        let before = self.first;
        self.first.get_or_insert(kind);
        self.expression = self.context == PLAIN
            && (self.operated || self.compared && !self.logic_open)
            && kind == Kind::String;
        if self.logic_open {
            if self.compared {
                self.condition(kind);
            } else if self.logic.is_none() {
                self.logic = Some(kind);
            }
        }
        if self.clause {
            self.clause = false;
            let number = kind == Kind::Constant || kind == Kind::Call;
            if number && before == Some(Kind::Constant) || self.broken_out() && kind != Kind::String
            {
                self.signals.add(Signal::SqlClause);
            }
        }
        if matches!(kind, Kind::Constant | Kind::String) {
            self.syntax = true;
        }
        self.last = kind;
        self.alias = false;
        self.state = State::After;
    }

    fn after(&mut self, token: Token) -> bool {
        match token {
            Token::Compare => {
                self.compared = true;
                self.state = State::Operand;
            }
            Token::Word(Word::Compare) => {
                self.compared = true;
                self.state = State::Operand;
            }
            Token::Word(Word::Mode) => {}
            Token::Word(Word::Not) => {}
            Token::Operator { .. } | Token::Star | Token::Word(Word::Arithmetic) => {
                self.operated = true;
                self.state = State::Operand;
            }
            Token::Logic => {
                self.syntax = true;
                self.begin_logic();
            }
            Token::Word(Word::Logic) => self.begin_logic(),
            Token::Comma => {
                self.confirm_select();
                self.state = State::Operand;
            }
            Token::Close => {
                if self.depth == 0 {
                    self.closed += 1;
                    self.syntax = true;
                } else {
                    self.depth -= 1;
                }
                self.last = Kind::Group;
                self.alias = false;
            }
            Token::Semicolon => self.state = State::Statement,
            Token::Word(Word::Union) => self.state = State::Union,
            Token::Word(Word::Order) => {
                self.clause = true;
                self.state = State::By;
            }
            Token::Word(Word::Limit) => {
                self.clause = true;
                self.state = State::Operand;
            }
            Token::Word(Word::Where) => {
                self.begin_logic();
            }
            Token::Word(Word::From) => {
                if self.select.is_none() {
                    return false;
                }
                self.confirm_select();
                self.in_from = true;
                self.state = State::Operand;
            }
            Token::Word(Word::Into) => self.state = State::Into,
            Token::Word(Word::Procedure) => {
                self.clause = true;
                self.state = State::Operand;
            }
            Token::Word(Word::As | Word::Collate) => self.state = State::Name,
            Token::Cast => {
                self.syntax = true;
                if self.last == Kind::Call || self.last == Kind::Group || self.broken_out() {
                    self.signals.add(Signal::SqlExpression);
                }
                self.state = State::Name;
            }
            Token::Word(Word::Direction) => {}
            Token::Word(Word::Branch) => self.state = State::Operand,
            Token::Word(Word::Case) => self.state = State::Operand,
            Token::Word(Word::End) => {}
            Token::Word(Word::Join) if self.in_from => {}
            Token::Word(Word::Option) if self.depth > 0 || self.in_from => {
                self.state = State::Operand;
            }
            Token::String { .. } if self.last == Kind::String => {}
            Token::Unbrace => {}
            Token::Open if self.last == Kind::Name || self.in_from => {
                self.depth += 1;
                self.state = State::Operand;
            }
            // The name of a derived table.
            Token::Name if !self.alias && (self.last == Kind::Group || self.in_from) => {
                self.alias = true;
            }
            Token::Word(Word::Set) if self.alias => self.state = State::Operand,
            Token::Word(Word::Wait) if self.broken_out() => return self.statement(token),
            _ => return false,
        }
        true
    }

    fn begin_logic(&mut self) {
        self.is_condition |= self.compared && !self.logic_open && !self.broken_out();
        self.logic_open = true;
        self.logic = None;
        self.called = false;
        self.compared = false;
        self.state = State::Operand;
    }

    fn union(&mut self, token: Token) -> bool {
        match token {
            Token::Word(Word::Prefix) => true,
            Token::Open => {
                self.depth += 1;
                self.syntax = true;
                true
            }
            Token::Word(Word::Select | Word::Values) => {
                self.select = Some(Select::Union);
                self.state = State::Operand;
                true
            }
            _ => false,
        }
    }

    fn name(&mut self, token: Token) -> bool {
        self.state = State::After;
        self.alias = true;
        match token {
            Token::Name | Token::String { .. } | Token::Word(_) => true,
            Token::Call(_) => {
                self.state = State::Operand;
                true
            }
            _ => false,
        }
    }
}
