"""Near copies of texts, and what one text copied from others."""

from __future__ import annotations

import numpy as np
import pytest

from tame.data.split import groups_of
from tame.data.text_copies import coded, joined, longest_run, near_copies, runs, words_of


def text(number: int, words: int = 60) -> str:
    return " ".join(f"w{number * 1000 + each}" for each in range(words))


def plain_share(a: str, b: str) -> float:
    """The share of the shorter text's runs of eight words that are in the other, from sets of tuples."""
    own = [{tuple(words[i : i + 8]) for i in range(len(words) - 7)} for words in map(words_of, (a, b))]
    return len(own[0] & own[1]) / min(map(len, own))


def test_texts_that_share_more_than_half_of_their_runs_are_near_copies():
    a = text(1)
    half = f"{' '.join(words_of(a)[:33])} {text(2, 27)}"  # 26 of 53 runs
    more = f"{' '.join(words_of(a)[:36])} {text(3, 24)}"  # 29 of 53
    inside = f"{text(4)} {a} {text(5)}"
    texts = [a, half, more, inside, text(6)]
    wanted = [(i, j) for i in range(5) for j in range(i + 1, 5) if plain_share(texts[i], texts[j]) > 0.5]
    assert near_copies(texts) == wanted == [(0, 2), (0, 3), (2, 3)]


def test_many_copies_of_one_text_are_joined():
    found = near_copies([text(1)] * 80 + [text(2)])
    assert {pair[0] for pair in found} == {0}
    assert len(found) == 79


def test_boilerplate_that_many_texts_share_joins_none():
    shared = text(0, 50)
    assert near_copies([f"{shared} {text(number, 30)}" for number in range(1, 80)]) == []


LETTER = (
    "this agreement is made between the parties named below and sets out the terms under which the supplier shall "
    "deliver the goods to the buyer within thirty days of the date of the order and {} pays on time every month "
    "without any deduction or delay of any kind"
)


def num_groups(texts: list[str]) -> int:
    return len(set(groups_of(len(texts), near_copies(texts)).tolist()))


@pytest.mark.parametrize("num", [50, 51, 60, 300])
def test_form_letters_are_one_group_however_many_there_are(num):
    others = [text(number, 47) for number in range(1, 140)]
    assert num_groups([LETTER.format(f"party{each}") for each in range(num)] + others) == 1 + len(others)


def test_versions_of_a_long_contract_are_one_group():
    words = words_of(text(1, 3000))
    versions = []
    for number in range(120):
        own = words.copy()
        own[::60] = [f"Party{number}"] * len(own[::60])
        versions.append(" ".join(own))
    assert num_groups([*versions, text(9, 3000)]) == 2


def test_copies_that_share_a_letterhead_with_all_others_are_found():
    head = text(0, 100)
    bodies = [words_of(text(number, 40)) for number in range(1, 80)]
    again = [*bodies[5][:20], "other", *bodies[5][21:]]
    assert near_copies([f"{head} {' '.join(own)}" for own in [*bodies, again]]) == [(5, 79)]


def test_a_text_that_is_nothing_but_boilerplate_joins_none():
    foot = text(0, 30)
    assert near_copies([foot, *(f"{text(number, 60)} {foot}" for number in range(1, 80))]) == []


def test_crowds_among_crowds_are_kept_apart():
    texts = [f"{text(number % 4, 60)} {text(number + 100, 4)} {text(0, 12)}" for number in range(400)]
    assert num_groups(texts) == 4


def test_pairs_are_not_quadratic():
    texts = [LETTER.format(f"party{each}") for each in range(3000)]
    assert len(near_copies(texts)) < 3 * len(texts)


CHINESE = (
    "这款手机的屏幕非常清晰，电池可以用两天，拍照效果也让我满意。物流很快，第二天就收到了，包装没有破损。",
    "昨天下午我们在公园里散步，看见许多孩子在湖边放风筝，天气晴朗，微风吹过，大家都很开心。",
    "医生建议他每天早晨跑步半小时，少吃油腻的食物，并且晚上十一点以前睡觉，三个月以后再来检查。",
)
JAPANESE = "昨日の午後、私たちは公園を散歩して、湖のほとりで凧を揚げているたくさんの子どもたちを見ました。"
THAI = "เมื่อวานตอนบ่ายพวกเราไปเดินเล่นที่สวนสาธารณะและเห็นเด็กหลายคนกำลังเล่นว่าวอยู่ริมทะเลสาบอากาศแจ่มใสและทุกคนมีความสุขมาก"


def test_near_copies_are_found_where_no_blanks_stand_between_words():
    shop, park, doctor = CHINESE
    texts = [
        shop,
        park,
        doctor,
        park.replace("许多", "一些"),
        JAPANESE,
        JAPANESE.replace("昨日", "今日"),
        THAI,
        THAI + "ครับ",
    ]
    assert near_copies(texts) == [(1, 3), (4, 5), (6, 7)]
    assert near_copies([shop + park, park]) == [(0, 1)]


def test_characters_without_blanks_are_words():
    assert words_of("他买了iPhone 15手机！") == ["他", "买", "了", "iphone", "15", "手", "机"]
    assert words_of("カタカナ・テスト、한국어 문장") == [*"カタカナテスト", "한국어", "문장"]
    assert words_of(f"donaudampfschifffahrt {'acgt' * 11}") == ["donaudampfschifffahrt", *"acgt" * 11]
    assert joined(words_of("他买了iPhone 15手机")) == "他买了 iphone 15 手机"


def test_the_longest_run_of_chinese_is_counted_in_characters():
    some, every = coded([words_of("有人看见许多孩子在湖边唱歌"), words_of(CHINESE[1])])
    assert longest_run(some, every) == (9, 2)


def test_punctuation_and_case_do_not_matter():
    a = text(1)
    assert near_copies([a, a.upper().replace(" ", ", ")]) == [(0, 1)]


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["one two"], ["one two", "one two", "three"]])
def test_short_and_empty_texts_are_taken(texts):
    assert near_copies(texts) == ([(0, 1)] if len(texts) == 3 else [])


def test_runs_are_equal_where_their_words_are():
    chance = np.random.default_rng(0)
    words = chance.integers(0, 5, 4000)
    own = runs(words, 4)
    tuples = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    assert len(np.unique(own)) == len(set(tuples))
    first = {}
    assert all(first.setdefault(each, code) == code for each, code in zip(tuples, own, strict=True))


def test_the_longest_run_is_that_of_a_plain_search():
    chance = np.random.default_rng(1)
    for _ in range(20):
        some, every = chance.integers(0, 3, 15), chance.integers(0, 3, 60)
        text = " ".join(map(str, every))
        wanted = max(
            (j - i for i in range(15) for j in range(i + 1, 16) if f" {' '.join(map(str, some[i:j]))} " in f" {text} "),
            default=0,
        )
        length, start = longest_run(some, every)
        assert length == wanted
        assert not length or f" {' '.join(map(str, some[start : start + length]))} " in f" {text} "


def test_words_that_nobody_knows_are_no_run():
    (some, every) = coded([words_of("a b c"), words_of("d e f")])
    assert longest_run(some, every) == (0, 0)
