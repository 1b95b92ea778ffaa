"""What bursts in the real streams, and what must not be taken for it: made by reading the posts.

``first`` is when the run of posts with the tag begins. What begins to trend and is named neither as
a burst nor as ``tolerable`` is a false start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from operators.trend_options import DetectionOptions, TrendOptions

#: Files that hold a post or two a minute need longer spans: 4 hours, of which one is recent.
SLOW = TrendOptions(window=14_400, slide=60, detection=DetectionOptions(recent=3_600, half_life=172_800, hold=3_600))
USUAL = TrendOptions()


class Burst(NamedTuple):
    """A tag, from when and until when to look for its beginning (ISO 8601, UTC), and why it is one."""

    tag: str
    first: str
    until: str
    why: str

    def holds(self, tag: str, at: float) -> bool:
        return tag == self.tag and self.start <= at <= moment(self.until)

    @property
    def start(self) -> float:
        return moment(self.first)


@dataclass(frozen=True)
class Expected:
    """A stream of :mod:`benchmarks.burst_streams`; the defaults were chosen on those that are ``tuned``."""

    stream: str
    tuned: bool
    bursts: tuple[Burst, ...] = ()
    #: Tags that must not begin, and why; all others must not begin either, but these are the traps.
    never: dict[str, str] = field(default_factory=dict)
    #: Tags that may begin, and why.
    tolerable: dict[str, str] = field(default_factory=dict)
    options: TrendOptions = USUAL


def moment(text: str) -> float:
    """Unix time of an ISO 8601 time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


_SEARCH = "the search term, or one of them: on nearly every post"
_CAPTURE = "the search for it sets in, or the share of its file jumps: new to the stream, not to the world"
_SAME = "a companion in the same reposted text"
_SMALL = "a small wave of its own"

EXPECTED = (
    Expected(
        "elections",
        tuned=True,
        bursts=(
            Burst("modiquake", "2017-02-08T10:19:42", "2017-02-08T10:40", "47 accounts repost one text at once"),
            Burst("ec", "2017-02-15T16:28:53", "2017-02-15T17:10", "an appeal to the election commission, 60 reposts"),
            Burst("isromadehistory", "2017-02-16T01:50:23", "2017-02-16T02:30", "104 satellites launched: a cartoon"),
            Burst("panchayatpolls", "2017-02-19T11:27", "2017-02-19T12:10", "results of the polls in Odisha come in"),
            Burst("mumbaikar", "2017-02-19T12:14", "2017-02-19T12:40", "a promise before the Mumbai polls"),
            Burst("tripletalaq", "2017-02-19T16:21", "2017-02-19T16:50", "the law minister on triple talaq"),
            Burst("alliancerattledmodi", "2017-02-19T17:00", "2017-02-19T17:15", "40 posts within a minute"),
            Burst("gujaratkegadhe", "2017-02-20T15:24:05", "2017-02-20T16:10", "the remark on Gujarat's donkeys"),
            Burst("imphal", "2017-02-21T05:11:37", "2017-02-21T05:40", "diesel is flown into Imphal"),
            Burst("bjp4सुशासन", "2017-02-21T08:21:37", "2017-02-21T08:40", "38 posts within a minute"),
            Burst("zillaparishad", "2017-02-21T08:17", "2017-02-21T09:30", "the fifth day of results in Odisha"),
            Burst("amarsingh", "2017-02-21T17:02:24", "2017-02-21T17:30", "Amar Singh: a programmed drama"),
            Burst("namo_लहर", "2017-02-22T05:23", "2017-02-22T06:10", "a slogan of the day, by 100 people"),
            Burst("काम", "2017-02-22T07:47:06", "2017-02-22T08:00", "a party's post on laptops"),
            Burst("kejriwal", "2017-02-22T14:13:14", "2017-02-22T14:40", "a cash machine gives out fake notes"),
            Burst("kaamboltahai", "2017-02-23T09:04:30", "2017-02-23T09:25", "156 reposts of an answer to the PM"),
            Burst("sp", "2017-02-25T04:00", "2017-02-25T04:40", "an article on the race for the second place"),
            Burst("kaamboltahai", "2017-02-28T07:32:48", "2017-02-28T07:50", "55 reposts of a rally"),
            Burst("nsel", "2017-03-02T06:15:30", "2017-03-02T06:30", "20 posts within ten seconds"),
            Burst("vote4bjp", "2017-03-02T07:03:11", "2017-03-02T07:25", "a road show in Gorakhpur"),
        ),
        never={
            "rohitvemula": "18 accounts, each twice",
            "laptop4growth": "18 accounts, each twice",
            "purvanchal": "23 accounts, each twice",
            "deoria": "5 accounts",
            "कांड_बोलता_है": "2 accounts",
            "priyankagandhi": "47 accounts, each twice, sold: their names are random",
            "uppolls2017": _SEARCH,
        },
        tolerable={
            **dict.fromkeys(("modi", "upelection2017", "bjp", "upelections2017", "rahulgandhi"), _CAPTURE),
            **dict.fromkeys(("akhileshyadav", "kannauj", "up", "india", "pm", "upcm"), _CAPTURE),
            **dict.fromkeys(("vikaspurush", "vinashpurush", "congress", "isro", "cartoon", "upfight"), _SAME),
            **dict.fromkeys(("bjd", "odisha", "others", "5thphasepanchayatpollstrend", "mumbai", "vote4bjp"), _SAME),
            **dict.fromkeys(("sp", "bsp", "donkeys", "manipur", "samajwadiparty", "atm", "defaulters"), _SAME),
            **dict.fromkeys(("demonetisation", "blackmoney", "kaamboltahai", "भारत_माता_की_जय"), _SAME),
            **dict.fromkeys(("scam", "हाथी_पर_झमाझम_वोट", "shivajimaharaj", "pls", "allahabad"), _SMALL),
            **dict.fromkeys(("mulayamsinghyadav", "uttarpradesh", "upकेnamo"), _SMALL),
        },
    ),
    Expected(
        "demonetization",
        tuned=True,
        bursts=(
            Burst("lifeinsurance", "2016-11-22T11:59", "2016-11-22T12:15", "30 accounts repost an insurer"),
            Burst("nitishkumar", "2016-11-23T06:23", "2016-11-23T06:40", "a chief minister sides with the PM"),
            Burst("corruptionfreeindia", "2016-11-23T09:42", "2016-11-23T10:30", "a march is called for"),
        ),
        never={"demonetization": _SEARCH},
    ),
    Expected(
        "leicester-arsenal",
        tuned=True,
        bursts=(Burst("walcott", "2015-09-26T14:18:25", "2015-09-26T14:26", "Walcott scores the equaliser"),),
        never=dict.fromkeys(("leiars", "arsenal", "afc", "coyg", "lcfc", "lcfcvafc"), _SEARCH),
    ),
    Expected(
        "queensland",
        tuned=True,
        bursts=(
            Burst("extremeweather", "2013-01-29T13:20:12", "2013-01-29T13:40", "an article, reposted 40 times"),
            Burst("queensland", "2013-01-27T09:02:53", "2013-01-27T09:40", "the flood reaches the cities"),
        ),
        tolerable={"australia": _SAME, "staysafe": _SAME},
    ),
    Expected(
        "west-texas",
        tuned=True,
        bursts=(
            Burst("westexplosion", "2013-04-18T03:15", "2013-04-18T04:30", "the first tag of the explosion"),
            Burst("prayfortexas", "2013-04-18T03:36:46", "2013-04-18T05:00", "prayers for its victims"),
            Burst("westtx", "2013-04-18T03:34:45", "2013-04-18T06:00", "the tag that stays"),
        ),
    ),
    Expected(
        "crypto",
        tuned=True,
        never={
            **dict.fromkeys(("crypto", "bitcoin", "btc", "cryptonews"), _SEARCH),
            **dict.fromkeys(("lionsfollowlions", "loadedlions", "cro", "crofam"), "one account, a post every second"),
        },
    ),
    Expected(
        "swansea-bournemouth",
        tuned=False,
        never={"usafricabf": "a ring of 41 accounts with one text", "swabou": _SEARCH, "swans": _SEARCH},
    ),
    Expected(
        "swansea-everton",
        tuned=False,
        never={
            **dict.fromkeys(("swansea", "everton"), "70 accounts advertise a pirated broadcast, 70 links"),
            "ranokarnohrsmundur": "17 accounts with one text",
            "swaeve": _SEARCH,
        },
    ),
    Expected("southampton-swansea", tuned=False, never={"souswa": _SEARCH, "stoptober": "one club's banner"}),
    Expected(
        "mayweather-mcgregor",
        tuned=False,
        never={"mayweathervmcgregor": _SEARCH, "mcgregor": _SEARCH, "mayweather": _SEARCH},
    ),
    Expected(
        "world-cup",
        tuned=False,
        bursts=(Burst("raisepalestineflag", "2022-11-20T17:30", "2022-11-20T18:20", "a campaign, at the same minute"),),
        never={"worldcup2022": _SEARCH, "fifaworldcup": _SEARCH},
        tolerable={"palestiniandream": _SAME},
    ),
    Expected("syria-ukraine", tuned=False, never={"howto": "30 advertisements for books on Bitcoin"}),
    Expected(
        "ottawa",
        tuned=False,
        bursts=(Burst("ottawashooting", "2014-10-22T15:30", "2014-10-22T18:30", "the shooting gets its tag"),),
    ),
    Expected(
        "ggplot2",
        tuned=False,
        never={
            **dict.fromkeys(("bitcoin", "btc", "r"), "one account's advertising, every day"),
            "ggplot2": _SEARCH,
        },
    ),
    Expected("vaccination", tuned=False, never={"pfizerbiontech": _SEARCH}),
    Expected("mabed", tuned=False, never={"quote": "a few accounts, every day"}),
    Expected("sandy", tuned=False),
    Expected(
        "west-texas",
        tuned=False,
        options=SLOW,
        bursts=(
            Burst("westexplosion", "2013-04-18T02:45", "2013-04-18T05:00", "the first tag of the explosion"),
            Burst("prayfortexas", "2013-04-18T03:36:46", "2013-04-18T06:00", "prayers for its victims"),
            Burst("westtx", "2013-04-18T03:15", "2013-04-18T08:00", "the tag that stays"),
        ),
        never={"prayforte": "#prayfortexas, cut off"},
    ),
    Expected(
        "alberta",
        tuned=False,
        options=SLOW,
        bursts=(
            Burst("abflood", "2013-06-21T20:00", "2013-06-22T02:00", "Calgary is evacuated: 35 posts in the hour"),
            Burst("yycflood", "2013-06-21T20:00", "2013-06-22T02:00", "Calgary is evacuated: 58 posts in the hour"),
        ),
        tolerable={"omgp": "a show is on television"},
    ),
    Expected(
        "oklahoma",
        tuned=False,
        options=SLOW,
        bursts=(Burst("prayforoklahoma", "2013-05-20T23:00", "2013-05-21T08:00", "the tornado: 16 posts in the hour"),),
        tolerable={"oklahoma": "the tornado: the same, by the name of the place"},
    ),
    Expected(
        "ottawa",
        tuned=False,
        options=SLOW,
        bursts=(Burst("ottawashooting", "2014-10-22T15:30", "2014-10-22T18:30", "the shooting gets its tag"),),
        tolerable={"canadastrong": _SMALL},
    ),
)
