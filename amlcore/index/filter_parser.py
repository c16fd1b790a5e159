"""The parser of filters.

filter     := all ("or" all)*
all        := one ("and" one)*
one        := "not" one | "(" filter ")" | term
term       := name operator value | value operator name
            | name ["not"] "in" "(" value ("," value)* ")"
            | name ["not"] ("like" | "ilike") value
            | name "is" ["not"] "null"
operator   := "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=" | "~" | "!~"
"""

from __future__ import annotations

from amlcore.index.lexer import FilterError, Token, TokenKind, pointing, tokens
from amlcore.index.syntax import KEYWORDS, NAMESPACES, NUMBER, And, Expression, FilterName, FilterValue, Not, Or, Term

_DEEPEST = 100
"""Parentheses and nots within each other; Python's own stack ends somewhere above."""

_SAME = {"==": "=", "<>": "!=", "!~": "~"}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPERATORS = ("=", "==", "!=", "<>", "<", "<=", ">", ">=", "~", "!~")
_WRITTEN_AS = {"&&": "and", "&": "and", "||": "or", "|": "or"}


def parse(source: str) -> Expression:
    """The tree of a filter.

    Raises
    ------
    FilterError
        `source` is not a filter; the message points at the place.
    """
    if not source.strip():
        raise FilterError("the filter is empty; write one such as 'accuracy > 0.9 and state = Completed'")
    return _Parser(source).parse()


def looks_like_filter(text: str) -> bool:
    """Whether `text` compares something, so that it is meant as a filter and not as the name of a run."""
    try:
        return any(
            token.is_operator(*_OPERATORS) or token.is_keyword("is", "in", "like", "ilike") for token in tokens(text)
        )
    except FilterError:
        return True


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(tokens(source))
        self._place = 0
        self._depth = 0

    def parse(self) -> Expression:
        expression = self._filter()
        if not self._is_at_end:
            raise self._unexpected()
        return expression

    @property
    def _is_at_end(self) -> bool:
        return self._token.kind is TokenKind.end

    @property
    def _token(self) -> Token:
        return self._tokens[self._place]

    def _next(self) -> Token:
        token = self._token
        self._place += 1
        return token

    def _error(self, message: str, token: Token | None = None) -> FilterError:
        return pointing(message, self._source, (token or self._token).start)

    def _unexpected(self) -> FilterError:
        token = self._token
        if token.text in _WRITTEN_AS:
            return self._error(f"write {_WRITTEN_AS[token.text]} instead of {token.text}")
        if token.is_operator(")"):
            return self._error("this parenthesis was never opened")
        return self._error(f"expected 'and', 'or' or the end, not {token}; put a value with spaces into quotes")

    def _filter(self) -> Expression:
        operands = [self._all()]
        while self._token.is_keyword("or"):
            self._next()
            operands.append(self._all())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _all(self) -> Expression:
        operands = [self._one()]
        while self._token.is_keyword("and"):
            self._next()
            operands.append(self._one())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _one(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(f"more than {_DEEPEST} parentheses within each other")
        try:
            if self._token.is_keyword("not"):
                self._next()
                return Not(self._one())
            if self._token.is_operator("("):
                return self._group()
            return self._term()
        finally:
            self._depth -= 1

    def _group(self) -> Expression:
        opening = self._next()
        expression = self._filter()
        if self._is_at_end:
            raise self._error("this parenthesis is never closed", opening)
        if not self._token.is_operator(")"):
            raise self._unexpected()
        self._next()
        return expression

    def _term(self) -> Expression:
        token = self._token
        if token.kind is TokenKind.text or (token.kind is TokenKind.word and NUMBER.fullmatch(token.text)):
            return self._flipped()
        name = self._name()
        negated = self._token.is_keyword("not") and bool(self._next())
        operator = self._next()
        if operator.is_keyword("in"):
            term = Term(name, "in", self._list(), operator.start)
        elif operator.is_keyword("like", "ilike"):
            term = Term(name, operator.text.lower(), (self._value(),), operator.start)
        elif operator.is_keyword("is") and not negated:
            negated = self._null()
            term = Term(name, "null", (), operator.start)
        elif operator.is_operator(*_OPERATORS) and not negated:
            negated = operator.text == "!~"
            symbol = _SAME.get(operator.text, operator.text)
            term = Term(name, symbol, (self._value(),), operator.start)
        elif negated:
            raise self._error(f"expected 'in' or 'like' after 'not', not {operator}", operator)
        else:
            raise self._error(f"expected a comparison such as = or > after {name}, not {operator}", operator)
        return Not(term) if negated else term

    def _flipped(self) -> Expression:
        value = self._value()
        operator = self._next()
        symbol = _SAME.get(operator.text, operator.text)
        if not operator.is_operator("=", "==", "!=", "<>", *_FLIPPED):
            raise self._error(
                f"expected a name before the value {value}; names with spaces stand in `backquotes`", operator
            )
        return Term(self._name(), _FLIPPED.get(symbol, symbol), (value,), operator.start)

    def _name(self) -> FilterName:
        token = self._next()
        if token.kind is TokenKind.name:
            return FilterName(None, token.text, token.start)
        if token.kind is not TokenKind.word or token.is_keyword(*KEYWORDS):
            raise self._error(f"expected the name of a metric, a parameter, a tag or a field, not {token}", token)
        prefix, dot, text = token.text.partition(".")
        namespace = NAMESPACES.get(prefix.lower()) if dot else None
        if namespace is None:
            return FilterName(None, token.text, token.start)
        following = self._token
        if not text and following.kind in (TokenKind.name, TokenKind.text) and following.start == token.end:
            text = self._next().text
        if not text:
            raise pointing(f"expected a name after {token.text}", self._source, token.end)
        return FilterName(namespace, text, token.start)

    def _value(self) -> FilterValue:
        token = self._next()
        if token.is_keyword("null"):
            raise self._error("write 'is null' or 'is not null'", token)
        if token.kind not in (TokenKind.word, TokenKind.text) or token.is_keyword(*KEYWORDS):
            raise self._error(f"expected a value, not {token}", token)
        return FilterValue(token.text, token.kind is TokenKind.text, token.start)

    def _list(self) -> tuple[FilterValue, ...]:
        if not self._next().is_operator("("):
            raise self._error("expected a list such as (1, 2) after 'in'", self._tokens[self._place - 1])
        values = [self._value()]
        while self._token.is_operator(","):
            self._next()
            values.append(self._value())
        if not self._token.is_operator(")"):
            raise self._error(f"expected ',' or ')', not {self._token}")
        self._next()
        return tuple(values)

    def _null(self) -> bool:
        """Whether it is `not null` that follows."""
        negated = self._token.is_keyword("not") and bool(self._next())
        token = self._next()
        if not token.is_keyword("null"):
            raise self._error(f"expected 'null' after 'is', not {token}; to compare with a value write =", token)
        return negated
