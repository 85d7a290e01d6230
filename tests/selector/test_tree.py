"""The decision tree: complete, walked with the user's values, the article's own branches reproduced."""

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.errors import InputError
from facts.records import validated
from selector.quality import priors
from selector.results import Arm
from selector.tasks import ALWAYS_HARD, CAUTIOUS_TYPE, OPEN_UNLESS_TYPED, TYPES_OF, Family, task_of, unusual_type
from selector.tree import Tree, load_tree, read_tree, tree_from_toml, tree_ids, tree_toml, walk
from workloads.demand import Complexity, TaskType, Workload


def workload(**given):
    return Workload(**{"requests_per_day": 1000, "input_tokens_mean": 1000, "output_tokens_mean": 200, "complexity": "extraction", **given})


def node(tree, node_id):
    return next(found for found in tree["node"] if found["id"] == node_id)


points = st.builds(
    workload,
    complexity=st.sampled_from(Complexity),
    task_type=st.none() | st.sampled_from(TaskType),
    labelled_examples=st.integers(0, 100_000) | st.sampled_from([0, 99, 100, 999, 1000, 1001, 9_999, 10_000, 10_001]),
    domain_specific=st.booleans(),
    residency=st.sampled_from(["any", "on_prem"]),
    knowledge_changes=st.sampled_from(["stable", "monthly", "daily"]),
    label_quality=st.sampled_from(["checked", "noisy", "unknown"]),
    requests_per_day=st.floats(1, 1e9) | st.just(100e6 / 1200),
    ttft_p95_ms=st.none() | st.just(500.0),
)


@given(points, st.sampled_from(tree_ids()))
def test_every_input_reaches_exactly_one_leaf(point, tree_id):
    tree = load_tree(tree_id)
    path, leaf = walk(tree, point)
    assert leaf.id in {end.id for end in tree.leaf}
    for step in path:
        node = tree.node_by_id(step.node)
        assert sum(branch.answer == step.answer for branch in node.branch) == 1
        assert step.because
        assert step.source


@pytest.mark.parametrize(
    ("given", "leaf"),
    [
        ({"complexity": "extraction", "labelled_examples": 1000}, "tune_per_token"),
        ({"complexity": "extraction", "labelled_examples": 999}, "few_shot_or_larger"),
        ({"complexity": "classification", "labelled_examples": 999}, "encoder_or_few_shot"),
        ({"complexity": "classification", "labelled_examples": 100}, "encoder_or_few_shot"),
        ({"complexity": "classification", "labelled_examples": 99}, "few_shot_or_larger"),
        ({"complexity": "routing", "labelled_examples": 400}, "encoder_or_few_shot"),
        ({"complexity": "qa", "task_type": "qa_closed", "labelled_examples": 5000}, "tune_per_token"),
        ({"complexity": "qa", "labelled_examples": 5000}, "larger"),
        ({"complexity": "code", "task_type": "sql", "labelled_examples": 5000}, "tune_per_token"),
        ({"complexity": "code", "labelled_examples": 1_000_000}, "larger"),
        ({"complexity": "reasoning", "labelled_examples": 1_000_000}, "larger"),
        ({"complexity": "reasoning", "task_type": "math", "labelled_examples": 0}, "larger"),
        ({"complexity": "generation", "labelled_examples": 50_000}, "larger"),
        ({"complexity": "generation", "task_type": "generation", "labelled_examples": 50_000}, "tune_per_token"),
        ({"complexity": "synthesis", "task_type": "generation", "labelled_examples": 50_000}, "larger"),
        ({"complexity": "extraction", "labelled_examples": 50_000, "domain_specific": False}, "few_shot_or_larger"),
        ({"complexity": "extraction", "labelled_examples": 50_000, "label_quality": "noisy"}, "clean_labels"),
        ({"complexity": "extraction", "labelled_examples": 50_000, "label_quality": "checked"}, "tune_per_token"),
        ({"complexity": "extraction", "labelled_examples": 50_000, "residency": "on_prem"}, "tune_on_own_servers"),
        ({"complexity": "extraction", "labelled_examples": 50_000, "ttft_p95_ms": 500}, "tune_on_dedicated_servers"),
        ({"complexity": "extraction", "labelled_examples": 50_000, "requests_per_day": 100e6 / 1200}, "tune_on_dedicated_servers"),
        ({"complexity": "extraction", "labelled_examples": 50_000, "requests_per_day": 99.9e6 / 1200}, "tune_per_token"),
        ({"complexity": "reasoning", "residency": "on_prem"}, "larger_on_own_servers"),
    ],
)
def test_the_corrected_rule_on_both_sides_of_each_threshold(given, leaf):
    assert walk(load_tree("corrected"), workload(**given))[1].id == leaf


@pytest.mark.parametrize(
    ("given", "leaf"),
    [
        ({"complexity": "extraction", "labelled_examples": 10_001}, "fine_tune"),
        ({"complexity": "extraction", "labelled_examples": 10_000}, "no_rule"),
        ({"complexity": "extraction", "labelled_examples": 1_000}, "no_rule"),
        ({"complexity": "extraction", "labelled_examples": 999}, "evaluate_larger"),
        ({"complexity": "code", "labelled_examples": 20_000}, "fine_tune"),
        ({"complexity": "analysis", "labelled_examples": 20_000}, "fine_tune"),
        ({"complexity": "reasoning", "labelled_examples": 20_000, "domain_specific": False}, "evaluate_larger"),
        ({"complexity": "generation", "labelled_examples": 20_000}, "larger_or_api"),
        ({"complexity": "synthesis"}, "larger_or_api"),
    ],
)
def test_the_articles_tree_as_published(given, leaf):
    assert walk(load_tree("seed-2026"), workload(**given))[1].id == leaf


def test_every_departure_from_the_article_is_noted_where_the_trees_part():
    tree = load_tree("corrected")
    noted = {node.id for node in tree.node for branch in node.branch if branch.departs_from_article}
    assert {"complexity", "family", "examples", "few_labels"} <= noted
    assert all(node.source for node in tree.node)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tree: tree["node"][0]["branch"].pop(), "'generation' is taken by 0 branches"),
        (lambda tree: tree["node"][0]["branch"][0]["any_of"].append("code"), "'code' is taken by 2 branches"),
        (lambda tree: node(tree, "examples")["branch"][1].update({"from": 200}), "begins at 200, 100 is wanted"),
        (lambda tree: node(tree, "examples")["branch"][0].update({"below": 5000}), "no branch takes 5000 and more"),
        (lambda tree: tree["node"][1]["branch"][0].update({"to": "nowhere"}), "neither a node nor a leaf"),
        (lambda tree: tree["node"][1]["branch"][0].update({"to": "complexity"}), "in a circle"),
        (lambda tree: tree["leaf"].append({**tree["leaf"][0], "id": "island"}), "'island' is never reached"),
        (lambda tree: tree["leaf"].append(dict(tree["leaf"][0])), "names two"),
    ],
)
def test_a_tree_with_a_hole_an_overlap_or_an_island_is_refused(change, words):
    document = load_tree("corrected").model_dump(by_alias=True, mode="json", exclude_none=True)
    change(document)
    with pytest.raises(InputError, match=words):
        validated(Tree, document, "own.toml")


def test_a_branch_that_no_input_can_take_is_dead_and_refused():
    document = load_tree("corrected").model_dump(by_alias=True, mode="json", exclude_none=True)
    branches = node(document, "few_labels")["branch"]
    branches[0]["to"] = "again"
    again = {
        "id": "again",
        "question": "Really so few?",
        "field": "labelled_examples",
        "source": "own",
        "branch": [
            {"answer": "Fewer than 5,000", "from": 0, "below": 5000, "to": "encoder_or_few_shot", "because": "{value}"},
            {"answer": "5,000 or more", "from": 5000, "to": "tuned_where", "because": "{value}"},
        ],
    }
    with pytest.raises(InputError, match="node 'again': no input ever takes the branch '5,000 or more'"):
        validated(Tree, {**document, "node": [*document["node"], again]}, "own.toml")


def test_a_family_that_the_complexity_above_rules_out_is_dead_too():
    document = load_tree("corrected").model_dump(by_alias=True, mode="json", exclude_none=True)
    ask = {
        "id": "open_family",
        "question": "Narrow?",
        "field": "family",
        "source": "own",
        "branch": [
            {"answer": "Narrow", "any_of": ["narrow"], "to": "domain", "because": "{value}"},
            {"answer": "Hard", "any_of": ["hard"], "to": "larger_where", "because": "{value}"},
        ],
    }
    first = document["node"][0]["branch"]
    first[1]["any_of"].remove("reasoning")
    first.append({"answer": "Reasoning", "any_of": ["reasoning"], "to": "open_family", "because": "{value}"})
    with pytest.raises(InputError, match="node 'open_family': no input ever takes the branch 'Narrow'"):
        validated(Tree, {**document, "node": [*document["node"], ask]}, "own.toml")


@pytest.mark.parametrize("tree_id", tree_ids())
def test_a_shipped_tree_read_back_from_its_own_text_is_the_same(tree_id):
    assert tree_from_toml(tree_toml(tree_id)) == load_tree(tree_id)
    assert all(node.evidence for node in load_tree(tree_id).node)


@pytest.mark.parametrize("text", ["id = ", "", "node = 3", 'id = "x"\nroot = "y"\n'])
def test_a_text_that_is_no_tree_is_one_sentence(text):
    with pytest.raises(InputError, match="the text"):
        tree_from_toml(text)


def test_an_unknown_tree_names_those_there_are():
    with pytest.raises(InputError, match="corrected, seed-2026"):
        load_tree("mine")


@pytest.mark.parametrize("complexity", Complexity)
def test_without_a_task_type_the_one_with_the_worst_published_cases_is_taken(complexity):
    def mean(kind):
        setting = "general_purpose" if complexity in OPEN_UNLESS_TYPED and kind is TaskType.GENERATION else "in_domain"
        row = priors()[(setting, kind, "any" if setting == "general_purpose" else "unknown")]
        return row.beta_a / (row.beta_a + row.beta_b)

    worst = min(TYPES_OF[complexity], key=mean)
    assert mean(CAUTIOUS_TYPE[complexity]) <= mean(worst) + 1e-9
    task = task_of(workload(complexity=complexity))
    assert task.type is CAUTIOUS_TYPE[complexity]
    assert task.assumed == (len(TYPES_OF[complexity]) > 1)


def test_a_task_type_outside_its_complexity_decides_and_is_doubted():
    odd = workload(complexity="classification", task_type="math")
    assert task_of(odd).family is Family.HARD
    assert "unusual" in unusual_type(odd)
    assert unusual_type(workload(complexity="code", task_type="sql")) == ""


def test_reasoning_and_synthesis_are_hard_at_any_type():
    for complexity in ALWAYS_HARD:
        for kind in TaskType:
            assert task_of(workload(complexity=complexity, task_type=kind)).family is Family.HARD


def test_each_step_says_how_far_the_value_is_from_another_branch():
    path, _ = walk(load_tree("corrected"), workload(labelled_examples=940))
    step = next(step for step in path if step.node == "examples")
    assert step.flips == "60 more (from 1,000) or 841 fewer (below 100)"
    assert 940 + 60 == 1_000
    assert 940 - 841 == 99
    assert all(step.flips for step in path)


def test_an_organisations_own_tree_is_read_from_its_file(tmp_path):
    own = tmp_path / "own.toml"
    text = (resources.files("selector") / "data" / "trees" / "corrected.toml").read_text()
    own.write_text(text.replace("from = 1000\n", "from = 2000\n").replace("below = 1000\n", "below = 2000\n"))
    assert walk(read_tree(own), workload(labelled_examples=1500))[1].id == "few_shot_or_larger"
    own.write_text(text.replace("below = 1000\n", "below = 900\n"))
    with pytest.raises(InputError, match="begins at 1000, 900 is wanted"):
        read_tree(own)


def test_leaves_name_arms_that_exist():
    for tree_id in tree_ids():
        for leaf in load_tree(tree_id).leaf:
            assert all(arm in Arm for arm in leaf.arms)
