"""The queries of tpch/*.sql once more, as Polars expressions: written apart, so that equal answers mean something.

Each takes the tables that its parameters name. Decimals are computed with as floats, as is usual in Polars, and
compared as the decimals that they are.
"""

from __future__ import annotations

import datetime
from decimal import Decimal

import polars as pl
from polars import col


def day(year: int, month: int, number: int) -> datetime.date:
    return datetime.date(year, month, number)


def number(name: str) -> pl.Expr:
    return col(name).cast(pl.Float64)


def revenue() -> pl.Expr:
    return number("l_extendedprice") * (1 - number("l_discount"))


def total(expression: pl.Expr) -> pl.Expr:
    """The sum as SQL has it: null of no rows at all."""
    return pl.when(pl.len() > 0).then(expression.sum())


def within(name: str, first: datetime.date, end: datetime.date) -> pl.Expr:
    """From the first day on, before the end."""
    return col(name).is_between(first, end, closed="left")


def q01(lineitem):
    return (
        lineitem.filter(col("l_shipdate") <= day(1998, 9, 2))
        .group_by("l_returnflag", "l_linestatus")
        .agg(
            number("l_quantity").sum().alias("sum_qty"),
            number("l_extendedprice").sum().alias("sum_base_price"),
            revenue().sum().alias("sum_disc_price"),
            (revenue() * (1 + number("l_tax"))).sum().alias("sum_charge"),
            number("l_quantity").mean().alias("avg_qty"),
            number("l_extendedprice").mean().alias("avg_price"),
            number("l_discount").mean().alias("avg_disc"),
            pl.len().alias("count_order"),
        )
        .sort("l_returnflag", "l_linestatus")
    )


def q02(part, partsupp, supplier, nation, region):
    offers = (
        part.filter(col("p_size") == 15, col("p_type").str.ends_with("BRASS"))
        .join(partsupp, left_on="p_partkey", right_on="ps_partkey")
        .join(supplier, left_on="ps_suppkey", right_on="s_suppkey")
        .join(nation, left_on="s_nationkey", right_on="n_nationkey")
        .join(region.filter(col("r_name") == "EUROPE"), left_on="n_regionkey", right_on="r_regionkey")
    )
    lowest = offers.group_by("p_partkey").agg(col("ps_supplycost").min())
    return (
        offers.join(lowest, on=["p_partkey", "ps_supplycost"])
        .select("s_acctbal", "s_name", "n_name", "p_partkey", "p_mfgr", "s_address", "s_phone", "s_comment")
        .sort("s_acctbal", "n_name", "s_name", "p_partkey", descending=[True, False, False, False])
        .head(100)
    )


def q03(customer, orders, lineitem):
    return (
        customer.filter(col("c_mktsegment") == "BUILDING")
        .join(orders.filter(col("o_orderdate") < day(1995, 3, 15)), left_on="c_custkey", right_on="o_custkey")
        .join(lineitem.filter(col("l_shipdate") > day(1995, 3, 15)), left_on="o_orderkey", right_on="l_orderkey")
        .group_by("o_orderkey", "o_orderdate", "o_shippriority")
        .agg(revenue().sum().alias("revenue"))
        .select("o_orderkey", "revenue", "o_orderdate", "o_shippriority")
        .sort("revenue", "o_orderdate", descending=[True, False])
        .head(10)
    )


def q04(orders, lineitem):
    late = lineitem.filter(col("l_commitdate") < col("l_receiptdate"))
    return (
        orders.filter(within("o_orderdate", day(1993, 7, 1), day(1993, 10, 1)))
        .join(late, left_on="o_orderkey", right_on="l_orderkey", how="semi")
        .group_by("o_orderpriority")
        .agg(pl.len().alias("order_count"))
        .sort("o_orderpriority")
    )


def q05(customer, orders, lineitem, supplier, nation, region):
    return (
        region.filter(col("r_name") == "ASIA")
        .join(nation, left_on="r_regionkey", right_on="n_regionkey")
        .join(customer, left_on="n_nationkey", right_on="c_nationkey")
        .join(
            orders.filter(within("o_orderdate", day(1994, 1, 1), day(1995, 1, 1))),
            left_on="c_custkey",
            right_on="o_custkey",
        )
        .join(lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .join(supplier, left_on=["l_suppkey", "n_nationkey"], right_on=["s_suppkey", "s_nationkey"])
        .group_by("n_name")
        .agg(revenue().sum().alias("revenue"))
        .sort("revenue", descending=True)
    )


def q06(lineitem):
    return lineitem.filter(
        within("l_shipdate", day(1994, 1, 1), day(1995, 1, 1)),
        col("l_discount").is_between(Decimal("0.05"), Decimal("0.07")),
        col("l_quantity") < Decimal("24.00"),
    ).select(total(number("l_extendedprice") * number("l_discount")).alias("revenue"))


def q07(supplier, lineitem, orders, customer, nation):
    two = nation.filter(col("n_name").is_in(["FRANCE", "GERMANY"])).select("n_nationkey", "n_name")
    return (
        lineitem.filter(within("l_shipdate", day(1995, 1, 1), day(1997, 1, 1)))
        .join(supplier, left_on="l_suppkey", right_on="s_suppkey")
        .join(two.rename({"n_name": "supp_nation"}), left_on="s_nationkey", right_on="n_nationkey")
        .join(orders, left_on="l_orderkey", right_on="o_orderkey")
        .join(customer, left_on="o_custkey", right_on="c_custkey")
        .join(two.rename({"n_name": "cust_nation"}), left_on="c_nationkey", right_on="n_nationkey")
        .filter(col("supp_nation") != col("cust_nation"))
        .group_by("supp_nation", "cust_nation", col("l_shipdate").dt.year().alias("l_year"))
        .agg(revenue().sum().alias("revenue"))
        .sort("supp_nation", "cust_nation", "l_year")
    )


def q08(part, lineitem, supplier, orders, customer, nation, region):
    america = nation.join(
        region.filter(col("r_name") == "AMERICA"), left_on="n_regionkey", right_on="r_regionkey"
    ).select("n_nationkey")
    brazilian = col("n_name") == "BRAZIL"
    return (
        part.filter(col("p_type") == "ECONOMY ANODIZED STEEL")
        .join(lineitem, left_on="p_partkey", right_on="l_partkey")
        .join(
            orders.filter(within("o_orderdate", day(1995, 1, 1), day(1997, 1, 1))),
            left_on="l_orderkey",
            right_on="o_orderkey",
        )
        .join(customer, left_on="o_custkey", right_on="c_custkey")
        .join(america, left_on="c_nationkey", right_on="n_nationkey")
        .join(supplier, left_on="l_suppkey", right_on="s_suppkey")
        .join(nation, left_on="s_nationkey", right_on="n_nationkey")
        .group_by(col("o_orderdate").dt.year().alias("o_year"))
        .agg((revenue().filter(brazilian).sum() / revenue().sum()).alias("mkt_share"))
        .sort("o_year")
    )


def q09(part, lineitem, supplier, partsupp, orders, nation):
    cost = number("ps_supplycost") * number("l_quantity")
    return (
        part.filter(col("p_name").str.contains("green", literal=True))
        .join(partsupp, left_on="p_partkey", right_on="ps_partkey")
        .join(lineitem, left_on=["p_partkey", "ps_suppkey"], right_on=["l_partkey", "l_suppkey"])
        .join(orders, left_on="l_orderkey", right_on="o_orderkey")
        .join(supplier, left_on="ps_suppkey", right_on="s_suppkey")
        .join(nation, left_on="s_nationkey", right_on="n_nationkey")
        .group_by("n_name", col("o_orderdate").dt.year().alias("o_year"))
        .agg((revenue() - cost).sum().alias("sum_profit"))
        .sort("n_name", "o_year", descending=[False, True])
    )


def q10(customer, orders, lineitem, nation):
    return (
        orders.filter(within("o_orderdate", day(1993, 10, 1), day(1994, 1, 1)))
        .join(lineitem.filter(col("l_returnflag") == "R"), left_on="o_orderkey", right_on="l_orderkey")
        .group_by("o_custkey")
        .agg(revenue().sum().alias("revenue"))
        .join(customer, left_on="o_custkey", right_on="c_custkey")
        .join(nation, left_on="c_nationkey", right_on="n_nationkey")
        .select("o_custkey", "c_name", "revenue", "c_acctbal", "n_name", "c_address", "c_phone", "c_comment")
        .sort("revenue", descending=True)
        .head(20)
    )


def q11(partsupp, supplier, nation, fraction):
    value = (number("ps_supplycost") * col("ps_availqty")).sum().alias("value")
    stock = partsupp.join(supplier, left_on="ps_suppkey", right_on="s_suppkey").join(
        nation.filter(col("n_name") == "GERMANY"), left_on="s_nationkey", right_on="n_nationkey"
    )
    whole = stock.select(value.alias("whole"))
    return (
        stock.group_by("ps_partkey")
        .agg(value)
        .join(whole, how="cross")
        .filter(col("value") > col("whole") * fraction)
        .select("ps_partkey", "value")
        .sort("value", descending=True)
    )


def q12(orders, lineitem):
    high = col("o_orderpriority").is_in(["1-URGENT", "2-HIGH"])
    return (
        lineitem.filter(
            col("l_shipmode").is_in(["MAIL", "SHIP"]),
            col("l_commitdate") < col("l_receiptdate"),
            col("l_shipdate") < col("l_commitdate"),
            within("l_receiptdate", day(1994, 1, 1), day(1995, 1, 1)),
        )
        .join(orders, left_on="l_orderkey", right_on="o_orderkey")
        .group_by("l_shipmode")
        .agg(high.sum().alias("high_line_count"), (~high).sum().alias("low_line_count"))
        .sort("l_shipmode")
    )


def q13(customer, orders):
    plain = orders.filter(~col("o_comment").str.contains("special.*requests"))
    return (
        customer.join(plain, left_on="c_custkey", right_on="o_custkey", how="left")
        .group_by("c_custkey")
        .agg(col("o_orderkey").count().alias("c_count"))
        .group_by("c_count")
        .agg(pl.len().alias("custdist"))
        .sort("custdist", "c_count", descending=True)
    )


def q14(lineitem, part):
    promoted = col("p_type").str.starts_with("PROMO")
    return (
        lineitem.filter(within("l_shipdate", day(1995, 9, 1), day(1995, 10, 1)))
        .join(part, left_on="l_partkey", right_on="p_partkey")
        .select((100 * revenue().filter(promoted).sum() / total(revenue())).alias("promo_revenue"))
    )


def q15(lineitem, supplier):
    by_supplier = (
        lineitem.filter(within("l_shipdate", day(1996, 1, 1), day(1996, 4, 1)))
        .group_by("l_suppkey")
        .agg(revenue().sum().alias("total_revenue"))
    )
    return (
        supplier.join(by_supplier, left_on="s_suppkey", right_on="l_suppkey")
        .filter(col("total_revenue") == col("total_revenue").max())
        .select("s_suppkey", "s_name", "s_address", "s_phone", "total_revenue")
        .sort("s_suppkey")
    )


def q16(partsupp, part, supplier):
    complained_of = supplier.filter(col("s_comment").str.contains("Customer.*Complaints"))
    return (
        part.filter(
            col("p_brand") != "Brand#45",
            ~col("p_type").str.starts_with("MEDIUM POLISHED"),
            col("p_size").is_in([49, 14, 23, 45, 19, 3, 36, 9]),
        )
        .join(partsupp, left_on="p_partkey", right_on="ps_partkey")
        .join(complained_of, left_on="ps_suppkey", right_on="s_suppkey", how="anti")
        .group_by("p_brand", "p_type", "p_size")
        .agg(col("ps_suppkey").n_unique().alias("supplier_cnt"))
        .sort("supplier_cnt", "p_brand", "p_type", "p_size", descending=[True, False, False, False])
    )


def q17(lineitem, part):
    wanted = part.filter(col("p_brand") == "Brand#23", col("p_container") == "MED BOX")
    lines = lineitem.join(wanted, left_on="l_partkey", right_on="p_partkey")
    usual = lines.group_by("l_partkey").agg((0.2 * number("l_quantity").mean()).alias("small"))
    return (
        lines.join(usual, on="l_partkey")
        .filter(number("l_quantity") < col("small"))
        .select((total(number("l_extendedprice")) / 7).alias("avg_yearly"))
    )


def q18(customer, orders, lineitem):
    large = (
        lineitem.group_by("l_orderkey")
        .agg(number("l_quantity").sum().alias("quantity"))
        .filter(col("quantity") > 300)
    )
    return (
        orders.join(large, left_on="o_orderkey", right_on="l_orderkey")
        .join(customer, left_on="o_custkey", right_on="c_custkey")
        .select("c_name", "o_custkey", "o_orderkey", "o_orderdate", "o_totalprice", "quantity")
        .sort("o_totalprice", "o_orderdate", descending=[True, False])
        .head(100)
    )


def q19(lineitem, part):
    def kind(brand: str, containers: str, size: int, quantity: int) -> pl.Expr:
        return (
            (col("p_brand") == brand)
            & col("p_container").is_in(containers.split(", "))
            & col("p_size").is_between(1, size)
            & col("l_quantity").is_between(Decimal(quantity), Decimal(quantity + 10))
        )

    return (
        lineitem.filter(
            col("l_shipmode").is_in(["AIR", "AIR REG"]), col("l_shipinstruct") == "DELIVER IN PERSON"
        )
        .join(part, left_on="l_partkey", right_on="p_partkey")
        .filter(
            kind("Brand#12", "SM CASE, SM BOX, SM PACK, SM PKG", size=5, quantity=1)
            | kind("Brand#23", "MED BAG, MED BOX, MED PKG, MED PACK", size=10, quantity=10)
            | kind("Brand#34", "LG CASE, LG BOX, LG PACK, LG PKG", size=15, quantity=20)
        )
        .select(total(revenue()).alias("revenue"))
    )


def q20(supplier, nation, partsupp, part, lineitem):
    sold = (
        lineitem.filter(within("l_shipdate", day(1994, 1, 1), day(1995, 1, 1)))
        .group_by("l_partkey", "l_suppkey")
        .agg((0.5 * number("l_quantity").sum()).alias("half"))
    )
    plenty = (
        partsupp.join(
            part.filter(col("p_name").str.starts_with("forest")),
            left_on="ps_partkey",
            right_on="p_partkey",
            how="semi",
        )
        .join(sold, left_on=["ps_partkey", "ps_suppkey"], right_on=["l_partkey", "l_suppkey"])
        .filter(col("ps_availqty") > col("half"))
    )
    return (
        supplier.join(
            nation.filter(col("n_name") == "CANADA"), left_on="s_nationkey", right_on="n_nationkey", how="semi"
        )
        .join(plenty, left_on="s_suppkey", right_on="ps_suppkey", how="semi")
        .select("s_name", "s_address")
        .sort("s_name")
    )


def q21(supplier, lineitem, orders, nation):
    late = lineitem.filter(col("l_receiptdate") > col("l_commitdate")).select("l_orderkey", "l_suppkey")
    several = (
        lineitem.group_by("l_orderkey").agg(col("l_suppkey").n_unique().alias("n")).filter(col("n") > 1)
    )
    alone = late.group_by("l_orderkey").agg(col("l_suppkey").n_unique().alias("n")).filter(col("n") == 1)
    return (
        late.join(several, on="l_orderkey", how="semi")
        .join(alone, on="l_orderkey", how="semi")
        .join(
            orders.filter(col("o_orderstatus") == "F"), left_on="l_orderkey", right_on="o_orderkey", how="semi"
        )
        .join(supplier, left_on="l_suppkey", right_on="s_suppkey")
        .join(
            nation.filter(col("n_name") == "SAUDI ARABIA"),
            left_on="s_nationkey",
            right_on="n_nationkey",
            how="semi",
        )
        .group_by("s_name")
        .agg(pl.len().alias("numwait"))
        .sort("numwait", "s_name", descending=[True, False])
        .head(100)
    )


def q22(customer, orders):
    country = col("c_phone").str.slice(0, 2)
    seven = customer.with_columns(country.alias("cntrycode")).filter(
        col("cntrycode").is_in(["13", "31", "23", "29", "30", "18", "17"])
    )
    average = seven.filter(col("c_acctbal") > Decimal("0.00")).select(
        number("c_acctbal").mean().alias("average")
    )
    return (
        seven.join(orders, left_on="c_custkey", right_on="o_custkey", how="anti")
        .join(average, how="cross")
        .filter(number("c_acctbal") > col("average"))
        .group_by("cntrycode")
        .agg(pl.len().alias("numcust"), number("c_acctbal").sum().alias("totacctbal"))
        .sort("cntrycode")
    )
