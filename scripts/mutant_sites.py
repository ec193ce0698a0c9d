# Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
"""Every place of one RTL file at which a fault of one of the operators can stand.

Faults are made where hardware decides: continuous assignments, procedural blocks, functions and the
inputs of instances. Reset branches, loop headers, declarations and the left-hand sides stay as they are.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pyslang.syntax import SyntaxKind as K
from pyslang.syntax import SyntaxNode, SyntaxTree

from mutant_category import category

SWAPS = {
    K.EqualityExpression: ("equality", "!="),
    K.InequalityExpression: ("equality", "=="),
    K.LessThanExpression: ("relation", "<="),
    K.LessThanEqualExpression: ("relation", "<"),
    K.GreaterThanExpression: ("relation", ">="),
    K.GreaterThanEqualExpression: ("relation", ">"),
    K.LogicalAndExpression: ("logic", "||"),
    K.LogicalOrExpression: ("logic", "&&"),
    K.BinaryAndExpression: ("bitwise", "|"),
    K.BinaryOrExpression: ("bitwise", "&"),
    K.AddExpression: ("arithmetic", "-"),
    K.SubtractExpression: ("arithmetic", "+"),
}
# Nothing below these is hardware that decides.
SKIPPED = {
    K.ModuleHeader, K.PackageHeader, K.ParameterDeclarationStatement, K.TypedefDeclaration,
    K.DataDeclaration, K.ParameterValueAssignment, K.FunctionPrototype, K.PackageImportDeclaration,
    K.CastExpression, K.MultipleConcatenationExpression,
}
LITERAL = re.compile(r"(\d+)'([bdh])([0-9a-f_]+)$")
SELECT = re.compile(r"(\w[\w.\[\]]*?)\[(\d+)(?::(\d+))?\]")
BASES = {"b": (2, "b"), "d": (10, "d"), "h": (16, "x")}


@dataclass
class Site:
    """One possible fault."""

    order: int      # of the file in files.f
    file: str
    start: int      # of `original` in the file
    module: str
    operator: str
    category: str
    original: str
    mutated: str
    before: str = ""
    after: str = ""
    id: str = ""


@dataclass
class Around:
    """Where the walk down the tree stands."""

    block: str = ""
    text: list[str] = field(default_factory=list)  # of the statement and the conditions above it
    in_function: bool = False
    conditional: bool = False                      # below an if or a case
    gate: bool = False                             # the condition under which registers move at all


class File:
    def __init__(self, folder: Path, name: str, order: int):
        self.name, self.order = name, order
        self.text = (folder / name).read_text()
        self.tree = SyntaxTree.fromText(self.text)
        self.module = ""
        self.sites: list[Site] = []

    def span(self, node: SyntaxNode) -> tuple[int, int]:
        where = node.sourceRange
        return where.start.offset, where.end.offset

    def source(self, node: SyntaxNode) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def add(self, node: SyntaxNode, operator: str, mutated: str, around: Around) -> None:
        start, end = self.span(node)
        original = self.text[start:end]
        kind = category(self.module, around.block, " ".join(around.text))
        if kind is None or mutated == original or any(
            s.start == start and s.original == original and s.mutated == mutated for s in self.sites
        ):
            return
        self.sites.append(Site(self.order, self.name, start, self.module, operator, kind, original, mutated))

    # ---- down the tree ------------------------------------------------------------------------

    def walk(self, node: SyntaxNode, around: Around) -> None:
        if not isinstance(node, SyntaxNode) or node.kind in SKIPPED:
            return
        visit = VISITORS.get(node.kind)
        if visit:
            visit(self, node, around)
        else:
            self.expression(node, around)
            for child in node:
                self.walk(child, around)

    def module_like(self, node: SyntaxNode, around: Around) -> None:
        self.module = node.header.name.valueText
        for member in node.members:
            self.walk(member, around)

    def continuous(self, node: SyntaxNode, around: Around) -> None:
        for assignment in filter(lambda a: isinstance(a, SyntaxNode), node.assignments):
            target = self.source(assignment.left)
            if target != "unused":
                self.walk(assignment.right, Around(target, [self.source(node)]))

    def procedure(self, node: SyntaxNode, around: Around) -> None:
        names = re.findall(r"(\w+)[\w.\[\]:+\-' ()*]*(?:<=|[+|&]?=)(?!=)", self.source(node))
        self.walk(node.statement, Around(",".join(dict.fromkeys(names))))

    def function(self, node: SyntaxNode, around: Around) -> None:
        name = self.source(node.prototype.name).strip()
        for item in node.items:
            self.walk(item, Around(f"function:{name}", [], in_function=True))

    def instance(self, node: SyntaxNode, around: Around) -> None:
        for instance in filter(lambda i: isinstance(i, SyntaxNode), node.instances):
            name = instance.decl.name.valueText
            for connection in filter(lambda c: isinstance(c, SyntaxNode), instance.connections):
                self.walk(connection, Around(f"instance:{name}", [self.source(connection)]))

    def loop(self, node: SyntaxNode, around: Around) -> None:
        self.walk(node.statement, around)

    def generate_loop(self, node: SyntaxNode, around: Around) -> None:
        self.walk(node.block, around)

    def statement(self, node: SyntaxNode, around: Around) -> None:
        below = Around(around.block, [*around.text, self.source(node)], around.in_function, around.conditional)
        assignment = node.expr if node.kind == K.ExpressionStatement else node.returnValue
        if assignment is None:
            return
        clocked = assignment.kind == K.NonblockingAssignmentExpression
        if clocked or (assignment.kind == K.AssignmentExpression and around.conditional and not around.in_function):
            self.add(node, "dropped-assignment", "", below)
        if node.kind == K.ReturnStatement:
            self.walk(assignment, below)
        elif hasattr(assignment, "right"):
            self.walk(assignment.right, below)

    def conditional(self, node: SyntaxNode, around: Around) -> None:
        predicate, clause = node.predicate, node.elseClause
        condition = self.source(predicate)
        if condition == "!rst_ni":
            if clause:
                self.walk(clause.clause, Around(around.block, around.text, gate=True))
            return
        body = self.source(node.statement)
        here = Around(around.block, [*around.text, condition, body if len(body) < 160 else ""], around.in_function)
        if not around.gate:
            self.add(predicate, "negated-condition", f"!({condition})", here)
            self.add(predicate, "stuck-at-1", "1'b1", here)
            self.add(predicate, "stuck-at-0", "1'b0", here)
            if clause and clause.clause.kind == K.ConditionalStatement:
                later = self.source(clause.clause.predicate)
                self.add(predicate, "swapped-priority", f"({condition}) && !({later})", here)
        self.walk(predicate, here)
        below = Around(around.block, [*around.text, condition], around.in_function, conditional=not around.gate)
        self.walk(node.statement, below)
        if clause:
            self.walk(clause.clause, Around(around.block, around.text, around.in_function, not around.gate))

    def case(self, node: SyntaxNode, around: Around) -> None:
        for item in node.items:
            if item.kind not in (K.StandardCaseItem, K.DefaultCaseItem):
                continue
            label = self.source(item).split(":")[0]
            below = Around(around.block, [*around.text, label + ":"], around.in_function, True)
            body = item.clause
            if item.kind == K.StandardCaseItem and not around.in_function and self.source(body) != ";":
                self.add(body, "dropped-arm", "", below)
            self.walk(body, below)

    # ---- expressions --------------------------------------------------------------------------

    def expression(self, node: SyntaxNode, around: Around) -> None:
        kind = node.kind
        if kind in SWAPS:
            operator, other = SWAPS[kind]
            left, right = self.source(node.left), self.source(node.right)
            bare = operator in ("equality", "relation", "arithmetic")
            self.add(node, operator, f"{left} {other} {right}" if bare else f"({left}) {other} ({right})", around)
            if operator == "logic":
                self.add(node, "dropped-term", f"({left})", around)
                self.add(node, "dropped-term", f"({right})", around)
        elif kind == K.UnaryLogicalNotExpression:
            self.add(node, "dropped-not", f"({self.source(node)[1:]})", around)
        elif kind == K.UnaryBitwiseAndExpression:
            self.add(node, "bitwise", f"(|{self.source(node)[1:]})", around)
        elif kind == K.UnaryBitwiseOrExpression:
            self.add(node, "bitwise", f"(&{self.source(node)[1:]})", around)
        elif kind == K.ConditionalExpression:
            condition = self.source(node.predicate)
            self.add(node.predicate, "swapped-arms", f"!({condition})", around)
        elif kind == K.IntegerVectorExpression:
            self.literal(node, around)

    def literal(self, node: SyntaxNode, around: Around) -> None:
        match = LITERAL.fullmatch(self.source(node))
        if not match:
            return
        width, base = int(match[1]), match[2]
        radix, form = BASES[base]
        value = int(match[3].replace("_", ""), radix)
        other = value - 1 if value == (1 << width) - 1 else value + 1
        self.add(node, "constant", f"{width}'{base}{other:{form}}", around)

    def select(self, node: SyntaxNode, around: Around) -> None:
        """A constant bit or range of bits is taken one place lower."""
        match = SELECT.fullmatch(self.source(node))
        if match and int(match[3] or match[2]) > 0:
            low = f":{int(match[3]) - 1}" if match[3] else ""
            self.add(node, "shifted-slice", f"{match[1]}[{int(match[2]) - 1}{low}]", around)

    def inside(self, node: SyntaxNode, around: Around) -> None:
        """Verilator takes only constants for the ranges."""
        self.add(node, "equality", f"!({self.source(node)})", around)
        self.walk(node.expr, around)

    def locate(self) -> None:
        """Gives each site an id and as much text around it as makes the place unique."""
        count: Counter[tuple[str, str]] = Counter()
        for site in sorted(self.sites, key=lambda s: (s.start, -len(s.original))):
            count[site.module, site.operator] += 1
            site.id = f"{site.module}/{site.operator}-{count[site.module, site.operator]}"
            start, end = site.start, site.start + len(site.original)
            line = self.text.rfind("\n", 0, start) + 1
            high = self.text.find("\n", end)
            while True:
                indent = len(self.text[line:start]) - len(self.text[line:start].lstrip())
                low = line + indent
                if self.text.count(self.text[low:high]) == 1:
                    break
                # Upwards: what leads to a place says more than what follows.
                line = self.text.rfind("\n", 0, line - 1) + 1
            site.before, site.after = self.text[low:start], self.text[end:high]


VISITORS = {
    K.ModuleDeclaration: File.module_like,
    K.PackageDeclaration: File.module_like,
    K.ContinuousAssign: File.continuous,
    K.AlwaysCombBlock: File.procedure,
    K.AlwaysFFBlock: File.procedure,
    K.FunctionDeclaration: File.function,
    K.HierarchyInstantiation: File.instance,
    K.ForLoopStatement: File.loop,
    K.LoopGenerate: File.generate_loop,
    K.ExpressionStatement: File.statement,
    K.ReturnStatement: File.statement,
    K.ConditionalStatement: File.conditional,
    K.CaseStatement: File.case,
    K.InsideExpression: File.inside,
    K.ElementSelectExpression: File.select,
    K.IdentifierSelectName: File.select,
    K.ScopedName: File.select,
}


def sites(folder: Path, name: str, order: int) -> list[Site]:
    """Every possible fault of a file."""
    file = File(folder, name, order)
    file.walk(file.tree.root, Around())
    file.locate()
    return file.sites
