"""The Chinese introduction's words for methods and for the ledger, its table and its chart."""

import html
import re

import altair as alt
import pandas as pd

import benchpred_utils as bp

from .. import charts

METHODS = {
    "random_sampling": "随机抽样",
    "aipw": "AIPW",
    "aipw_cross_fitted": "AIPW（交叉拟合）",
    "sequential_stratification": "序贯分层",
    "imputation": "插补（序贯分层的题目）",
    "random_sampling_learn": "随机抽样 + 回归",
    "pca": "主成分插补",
    "random_search_learn": "随机搜索 + 回归",
    "lasso": "lasso",
    "double_optimize": "双重优化",
    "k_center_greedy": "k-center 贪心",
    "anchor_points_weighted": "锚点（加权）",
    "anchor_points_predictor": "锚点（预测）",
    "p_irt": "p-IRT",
    "gp_irt": "gp-IRT",
    "metabench": "metabench",
    "sort_and_search": "Sort & Search",
}
VERDICTS = {
    "holds": "成立",
    "holds in part": "部分成立",
    "does not hold": "不成立",
    "cannot be decided": "无法判定",
    "cannot be checked": "无法检验",
}
CLAIMS = {
    1: "176B 的模型评测一次 HELM 要 4,200 GPU 小时",
    2: "模型大 10 倍，评测成本超线性增长",
    3: "前沿上两个假设同时失效",
    4: "AIPW 无偏",
    5: "AIPW 要遍历全量数据（计算悖论）",
    6: "k-center 贪心减小方差",
    7: "相似度 S > 0.7 时所有方法误差 < 5%",
    8: "S < 0.3 时 AIPW 保持 12.3% 的相对优势",
    9: "MMLU 数学：传统方法误差 38.7%，AIPW 15.2%",
    10: "首个严格的数学描述；AIPW 是 √n 相合（一致）的",
    11: "相似度 S 是有用的基础工具",
    12: "20% 实测 + 80% 预测可行",
    13: "忽略了能力在子领域间的不均衡",
    14: "无法做增量式评估",
    15: "明显超越历史模型用 AIPW，否则用核心集方法",
    16: "按难度或领域分层构建核心集",
    17: "在线系统，动态调整核心集比例",
    18: "跨架构迁移（CNN 到 Transformer）",
}
PHRASES = {  # 核查表里的英文说法与中文说法
    " h by the product": " 小时（乘积）",
    " h published": " 小时（公开数字）",
    "exponent ": "指数 ",
    " at fixed tokens": "（生成长度固定）",
    " in the published hours": "（公开数据）",
    "ratio of gaps, k-center": "前沿差距 ÷ 内插差距，k-center",
    "ratio of gaps, anchors": "锚点（加权）",
    "ratio of gaps, regression on the sources": "对源模型的回归",
    "largest bias": "最大偏差",
    "(g fixed, ": "（g 事先固定，",
    "(as published, ": "（论文做法，",
    "(cross-fitted, ": "（交叉拟合，",
    "n = 4 of 9)": "9 题取 4）",
    "as published, n = 40:": "论文做法，n = 40：",
    "unseen scores of the sources move it by": "改动源模型在未测题目上的得分，估计改变",
    "unseen scores of the target move it by": "改动目标模型在未测题目上的得分，估计改变",
    "ratio of variances": "方差之比",
    "of mean squared errors": "均方误差之比",
    "none of ": "0/",
    "by mean agreement at the frontier": "按平均一致率，在前沿",
    " misses by": " 的误差为",
    "every mean below 5 points in": "各方法平均误差都低于 5 个百分点的读法",
    " readings": " 种",
    "against random sampling": "相对随机抽样",
    "against anchor points, weighted": "相对锚点（加权）",
    " targets)": " 个目标模型）",
    "regression, six pairs": "回归，六种跨架构组合",
    "regression ": "回归 ",
    " (842 questions)": "（842 题）",
    "figures found in some setting:": "在某个设定下能找到的数字：",
    "slope, AIPW, cross-fitted": "双对数斜率，AIPW（交叉拟合）",
    "slope, AIPW": "双对数斜率，AIPW",
    "distance from the difference estimator": "与差估计量相差",
    "R² added, AIPW's gain": "增加的 R²，AIPW 的收益",
    "R² added, AIPW": "增加的 R²，AIPW 的误差",
    "R² added, the most, ": "增加的 R²，最大者 ",
    "mean gap": "平均差距",
    "at most 3 in": "不超过 3 的有",
    "half-width": "区间半宽",
    "unevenness, ": "不均衡程度，",
    "gap per domain with the sources' help": "借助源模型，子领域差距增减",
    "gap of the total, drawn by domain": "按领域抽样，总分差距增减",
    "the confidence sequence is wrong at some look in": "置信序列在某一时刻出错的比例",
    "sources that join half-way: gap": "源模型中途加入，差距增减",
    "frontier: ": "前沿：",
    "interpolation: ": "内插：",
    "sequential stratification": "序贯分层",
    "weighted anchors": "锚点（加权）",
    "gap, by difficulty, ": "差距增减，按难度，",
    "gap, by domain, ": "差距增减，按领域，",
    "extrapolation": "前沿",
    "interpolation": "内插",
    "items over the fixed number for accuracy 1/2": "题数 ÷ 准确率 1/2 时的固定题数",
    "over the fixed number for the own accuracy": "÷ 自身准确率所需的固定题数",
    "right at all looks": "全程覆盖率",
    "AIPW, six pairs of architectures": "AIPW，六种跨架构组合平均",
    "AIPW, CNN to Transformer": "AIPW，CNN 到 Transformer",
    "AIPW, between developers": "AIPW，开发者之间",
    "R² of the formula, HELM-Lite": "误差公式的 R²，HELM-Lite",
    "R² of the formula, the zoo": "误差公式的 R²，手写数字",
    " points": " 个百分点",
    " parts": " 部分",
    "its one part": "唯一一部分",
    "no part can be checked": "没有可检验的部分",
    " open": " 未定",
    " of ": "/",
    " to ": " ～ ",
    "regression": "回归",
}
KEPT = (  # 名称
    "AIPW|gp-IRT|k-center|MMLU|MATH|LegalBench|HELM-Lite|CNN|Transformer|metabench"
    "|Sort & Search|lasso"
)
AMONG, FAR = "内插", "外推（前沿）"


def in_chinese(english):
    """The ledger's words in Chinese, its numbers as they are; in English if a word is unknown."""
    chinese = english
    for said in sorted(PHRASES, key=len, reverse=True):
        chinese = chinese.replace(said, PHRASES[said])
    if re.search("[A-Za-z]{2}", re.sub(KEPT, "", chinese)):
        return f'<span lang="en">{html.escape(english)}</span>'
    minus = re.sub(r"-(?=[\d.])(?<!\de-)", "−", chinese)
    return html.escape(minus.replace("; ", "；").replace(", ", "，"))


def ledger_table(kept):
    """The ledger as HTML, from its texts by (number, "measured", "parts" or "verdict")."""
    rows = []
    for number, claim in CLAIMS.items():
        link = f'<a href="claims_ledger.html#claim-{number:02d}">{number}</a>'
        verdict = VERDICTS[kept[number, "verdict"]]
        verdict = f'<b style="white-space: nowrap">{verdict}</b>'
        texts = [in_chinese(kept[number, key]) for key in ("measured", "parts")]
        rows.append((link, html.escape(claim), texts[0], verdict, texts[1]))
    table = pd.DataFrame(rows, columns=["", "论断", "实测", "判定", "为真的部分"])
    with pd.option_context("display.max_colwidth", None):
        text = table.to_html(escape=False, index=False, border=0, justify="left")
    return text.replace('class="dataframe"', 'class="table"')


def ratios(means):
    """Gaps over random sampling's, with intervals, from mean changes by split."""
    rows = pd.concat([table.assign(split=split) for split, table in means.items()]).reset_index()
    rows[["change", "low", "high"]] += 1
    rows["how"] = rows.method.map(METHODS)
    order = [METHODS[method] for method in means[FAR].change.sort_values().index]
    scale = alt.Scale(type="log", domain=[0.5, 6], nice=False)
    axis = alt.Axis(values=[0.7, 1, 1.5, 2, 3, 4, 5], format="~g")
    options = {"title": "估计差距 ÷ 随机抽样的估计差距", "scale": scale, "axis": axis}
    style = charts.split_styles(bp.SPLITS[:2], [AMONG, FAR])
    base = alt.Chart(rows[["how", "split", "change", "low", "high"]]).encode(
        y=alt.Y("how:N", title=None, sort=order, axis=alt.Axis(grid=True, labelLimit=200)),
        color=style["color"],
        tooltip=[
            alt.Tooltip("how:N", title="方法"),
            alt.Tooltip("split:N", title="划分"),
            alt.Tooltip("change:Q", title="差距之比", format=".2f"),
        ],
    )
    bars = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", **options), x2="high:Q")
    dots = base.mark_point(size=55, opacity=1).encode(
        x=alt.X("change:Q", **options), shape=style["shape"]
    )
    one = alt.Chart(pd.DataFrame({"one": [1]})).mark_rule(strokeDash=[4, 4])
    one = one.encode(x=alt.X("one:Q", **options))
    return (one + bars + dots).properties(
        width=430,
        height=340,
        description="点图，每行一种方法。内插时多数方法在虚线左侧，"
        "k-center 贪心和 Sort & Search 远在右侧；"
        "外推时只有锚点（加权）、序贯分层、插补和两种 AIPW 在左侧，gp-IRT 在虚线上，其余都在右侧。",
    )
