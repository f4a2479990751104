"""The tables behind the universe of the simulated exchange: real names and contract ids, plausible prices, IB-like price ladders.

Only data lives here; `universe.py` turns it into instruments. A price is where the seeded walk starts, not a quotation.
"""

from __future__ import annotations

from decimal import Decimal

Ladder = tuple[tuple[Decimal, Decimal], ...]


def _ladder(*steps: tuple[str, str]) -> Ladder:
    return tuple((Decimal(low), Decimal(increment)) for low, increment in steps)


# Market rules as reqMarketRule answers them: (low edge, increment), ascending. A price uses the last step whose edge it reaches.
STOCK_RULE, OPTION_RULE, PENNY_OPTION_RULE = 26, 109, 110
MARKET_RULES: dict[int, Ladder] = {
    STOCK_RULE: _ladder(("0", "0.0001"), ("1", "0.01")),
    OPTION_RULE: _ladder(("0", "0.01"), ("3", "0.05")),
    PENNY_OPTION_RULE: _ladder(("0", "0.01")),
    67: _ladder(("0", "0.25")),  # ES, NQ
    32: _ladder(("0", "0.01")),  # CL
    58: _ladder(("0", "0.1")),  # GC
    239: _ladder(("0", "0.00005")),  # FX quoted in dollars
    59: _ladder(("0", "0.005")),  # FX quoted in yen
}

# What ContractDetails.orderTypes lists, in IB's spelling: its list for such a contract without what this exchange does not simulate. IB
# lists FOK for options only; it is taken for shares too, so that it can be tried. Hidden orders need a listing whose book takes them.
_ALL = "ALGO,DAY,GAT,GTC,GTD,ICE,IOC,LIT,LMT,MIT,MKT,OCA,STP,STPLMT,TRAIL,TRAILLMT,WHATIF"
_CURRENCY = "DAY,GAT,GTC,GTD,IOC,LIT,LMT,MIT,MKT,OCA,STP,STPLMT,TRAIL,TRAILLMT,WHATIF"
ORDER_TYPES = {"STK": f"{_ALL},AON,FOK,LOC,MOC,OPG", "OPT": f"{_ALL},AON,FOK", "FUT": _ALL, "CASH": _CURRENCY}
HIDDEN, HIDDEN_LISTINGS = "HID", ("NASDAQ", "ARCA")

# symbol, contract id, listing exchange, trading class, name, industry, price, step volatility in millionths
STOCKS: tuple[tuple[str, int, str, str, str, str, str, int], ...] = (
    ("AAPL", 265598, "NASDAQ", "NMS", "APPLE INC", "Technology", "236.40", 60),
    ("ABBV", 118089500, "NYSE", "ABBV", "ABBVIE INC", "Consumer, Non-cyclical", "228.15", 45),
    ("ADBE", 265768, "NASDAQ", "NMS", "ADOBE INC", "Technology", "352.60", 65),
    ("AMD", 4391, "NASDAQ", "SCM", "ADVANCED MICRO DEVICES", "Technology", "161.20", 110),
    ("AMZN", 3691937, "NASDAQ", "NMS", "AMAZON.COM INC", "Communications", "219.35", 65),
    ("AVGO", 313130367, "NASDAQ", "NMS", "BROADCOM INC", "Technology", "344.10", 95),
    ("BA", 4762, "NYSE", "BA", "BOEING CO/THE", "Industrial", "214.80", 70),
    ("BAC", 10098, "NYSE", "BAC", "BANK OF AMERICA CORP", "Financial", "51.42", 55),
    ("C", 87335484, "NYSE", "C", "CITIGROUP INC", "Financial", "101.75", 60),
    ("CAT", 5437, "NYSE", "CAT", "CATERPILLAR INC", "Industrial", "468.30", 60),
    ("COST", 272997, "NASDAQ", "NMS", "COSTCO WHOLESALE CORP", "Consumer, Cyclical", "941.25", 45),
    ("CRM", 28812380, "NYSE", "CRM", "SALESFORCE INC", "Technology", "243.60", 70),
    ("CSCO", 268084, "NASDAQ", "NMS", "CISCO SYSTEMS INC", "Communications", "68.24", 45),
    ("CVX", 5684, "NYSE", "CVX", "CHEVRON CORP", "Energy", "157.90", 50),
    ("DIS", 6459, "NYSE", "DIS", "WALT DISNEY CO/THE", "Communications", "114.35", 55),
    ("F", 9599491, "NYSE", "F", "FORD MOTOR CO", "Consumer, Cyclical", "12.18", 60),
    ("GE", 498843743, "NYSE", "GE", "GENERAL ELECTRIC CO", "Industrial", "301.40", 60),
    ("GOOGL", 208813719, "NASDAQ", "NMS", "ALPHABET INC-CL A", "Communications", "247.85", 60),
    ("GS", 4627828, "NYSE", "GS", "GOLDMAN SACHS GROUP INC", "Financial", "795.50", 60),
    ("HD", 7930, "NYSE", "HD", "HOME DEPOT INC", "Consumer, Cyclical", "405.70", 45),
    ("IBM", 8314, "NYSE", "IBM", "INTL BUSINESS MACHINES CORP", "Technology", "281.90", 50),
    ("INTC", 270639, "NASDAQ", "NMS", "INTEL CORP", "Technology", "34.85", 120),
    ("JNJ", 8719, "NYSE", "JNJ", "JOHNSON & JOHNSON", "Consumer, Non-cyclical", "186.20", 35),
    ("JPM", 1520593, "NYSE", "JPM", "JPMORGAN CHASE & CO", "Financial", "312.45", 50),
    ("KO", 8894, "NYSE", "KO", "COCA-COLA CO/THE", "Consumer, Non-cyclical", "69.80", 30),
    ("LLY", 9160, "NYSE", "LLY", "ELI LILLY & CO", "Consumer, Non-cyclical", "763.40", 65),
    ("MA", 38685693, "NYSE", "MA", "MASTERCARD INC - A", "Financial", "571.20", 45),
    ("MCD", 9408, "NYSE", "MCD", "MCDONALD'S CORP", "Consumer, Cyclical", "304.55", 35),
    ("META", 107113386, "NASDAQ", "NMS", "META PLATFORMS INC-CLASS A", "Communications", "743.30", 70),
    ("MSFT", 272093, "NASDAQ", "NMS", "MICROSOFT CORP", "Technology", "512.15", 50),
    ("MU", 9939, "NASDAQ", "NMS", "MICRON TECHNOLOGY INC", "Technology", "164.70", 115),
    ("NFLX", 15124833, "NASDAQ", "NMS", "NETFLIX INC", "Communications", "1208.40", 65),
    ("NKE", 10291, "NYSE", "NKE", "NIKE INC -CL B", "Consumer, Cyclical", "69.75", 70),
    ("NVDA", 4815747, "NASDAQ", "NMS", "NVIDIA CORP", "Technology", "188.05", 85),
    ("ORCL", 272800, "NYSE", "ORCL", "ORACLE CORP", "Technology", "283.60", 95),
    ("PEP", 11017, "NASDAQ", "NMS", "PEPSICO INC", "Consumer, Non-cyclical", "141.35", 35),
    ("PFE", 11031, "NYSE", "PFE", "PFIZER INC", "Consumer, Non-cyclical", "25.48", 50),
    ("PG", 11130, "NYSE", "PG", "PROCTER & GAMBLE CO/THE", "Consumer, Non-cyclical", "152.70", 30),
    ("PLTR", 444857009, "NASDAQ", "NMS", "PALANTIR TECHNOLOGIES INC-A", "Technology", "178.20", 130),
    ("QCOM", 273544, "NASDAQ", "NMS", "QUALCOMM INC", "Technology", "167.45", 75),
    ("T", 37018770, "NYSE", "T", "AT&T INC", "Communications", "28.15", 35),
    ("TSLA", 76792991, "NASDAQ", "NMS", "TESLA INC", "Consumer, Cyclical", "398.20", 130),
    ("UNH", 13272, "NYSE", "UNH", "UNITEDHEALTH GROUP INC", "Consumer, Non-cyclical", "345.60", 65),
    ("V", 49462172, "NYSE", "V", "VISA INC-CLASS A SHARES", "Financial", "341.90", 40),
    ("VZ", 4901, "NYSE", "VZ", "VERIZON COMMUNICATIONS INC", "Communications", "43.65", 35),
    ("WFC", 10375, "NYSE", "WFC", "WELLS FARGO & CO", "Financial", "83.10", 55),
    ("WMT", 13824, "NYSE", "WMT", "WALMART INC", "Consumer, Cyclical", "103.20", 40),
    ("XOM", 13977, "NYSE", "XOM", "EXXON MOBIL CORP", "Energy", "118.05", 45),
)

ETFS: tuple[tuple[str, int, str, str, str, str, str, int], ...] = (
    ("DIA", 73128548, "ARCA", "DIA", "SPDR DJIA TRUST", "Funds", "462.80", 28),
    ("GLD", 51529211, "ARCA", "GLD", "SPDR GOLD SHARES", "Funds", "371.30", 32),
    ("IWM", 9579970, "ARCA", "IWM", "ISHARES RUSSELL 2000 ETF", "Funds", "242.10", 42),
    ("QQQ", 320227571, "NASDAQ", "NMS", "INVESCO QQQ TRUST SERIES 1", "Funds", "598.40", 38),
    ("SPY", 756733, "ARCA", "SPY", "SS SPDR S&P 500 ETF TRUST-US", "Funds", "658.30", 28),
    ("TLT", 15547841, "NASDAQ", "NMS", "ISHARES 20+ YEAR TREASURY BD", "Funds", "89.45", 28),
    ("XLE", 4215217, "ARCA", "XLE", "SS ENERGY SELECT SECTOR SPDR", "Funds", "89.70", 40),
    ("XLF", 4215220, "ARCA", "XLF", "SS FINANCIAL SELECT SECTOR SPDR", "Funds", "53.60", 36),
)

# symbol, exchange, name, multiplier, market rule, time zone, price, step volatility in millionths, expiry rule
FUTURES: tuple[tuple[str, str, str, str, int, str, str, int, str], ...] = (
    ("ES", "CME", "E-mini S&P 500", "50", 67, "US/Central", "6712.50", 28, "quarterly"),
    ("NQ", "CME", "E-mini NASDAQ 100", "20", 67, "US/Central", "24865.25", 38, "quarterly"),
    ("CL", "NYMEX", "Light Sweet Crude Oil", "1000", 32, "US/Eastern", "62.45", 60, "monthly"),
    ("GC", "COMEX", "Gold", "100", 58, "US/Eastern", "4028.50", 35, "gold"),
)

# pair, contract id, currency bought, currency paid, name, market rule, price, step volatility in millionths
FX_PAIRS: tuple[tuple[str, int, str, str, str, int, str, int], ...] = (
    ("EUR.USD", 12087792, "EUR", "USD", "European Monetary Union Euro", 239, "1.16520", 12),
    ("GBP.USD", 12087797, "GBP", "USD", "British pound", 239, "1.33640", 12),
    ("USD.JPY", 15016059, "USD", "JPY", "United States dollar", 59, "151.870", 14),
)

# underlying, strikes, market rule, annual volatility
OPTION_SERIES: tuple[tuple[str, tuple[int, ...], int, str], ...] = (
    ("AAPL", (220, 230, 235, 240, 250), OPTION_RULE, "0.28"),
    ("SPY", (640, 650, 660, 670, 680), PENNY_OPTION_RULE, "0.17"),
)
