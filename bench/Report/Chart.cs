using System.Text.RegularExpressions;
using ScottPlot;

namespace LlamaServe.Bench.Report;

/// <summary>A line chart that can be read on light and on dark ground.</summary>
/// <param name="key">Its name on the command line.</param>
internal sealed partial class Chart(string key, string title, string across, string up)
{
    private const int Width = 760;
    private const int Height = 420;

    /// <summary>Stands in an SVG for the colour of the page's text; no curve has it.</summary>
    private const string TextInk = "#010203";

    /// <summary>Where it is not installed, the system's own takes its place.</summary>
    private const string Font = "DejaVu Sans";

    private static readonly MarkerShape[] Markers =
        [MarkerShape.FilledCircle, MarkerShape.FilledSquare, MarkerShape.FilledTriangleUp, MarkerShape.FilledDiamond, MarkerShape.FilledTriangleDown, MarkerShape.OpenCircle];

    private readonly List<Curve> _curves = [];

    /// <summary>
    /// Of curves: after Okabe and Ito's, told apart by colour-blind readers, each made so dark that it has a contrast of 3 to white
    /// and so light that it has one to #121212.
    /// </summary>
    public static IReadOnlyList<string> Palette { get; } = ["#0072B2", "#C17D00", "#009E73", "#D55E00", "#C06C9B", "#2F8FC4"];

    public string Key { get; } = key;

    public string Title { get; } = title;

    public bool IsEmpty => _curves.Count == 0;

    /// <summary>Adds a curve.</summary>
    /// <param name="isPrediction">Whether it is dashed.</param>
    /// <param name="labels">One a point, written beside its mark; null: points are not marked.</param>
    public void Add(string name, double[] xs, double[] ys, bool isPrediction, string[]? labels = null)
    {
        if (xs.Length > 0)
        {
            _curves.Add(new Curve(name, xs, ys, isPrediction, labels));
        }
    }

    /// <summary>As part of a page; ids in it begin with <paramref name="prefix"/>, since those of all charts of a page differ.</summary>
    public string ToSvg(string prefix)
    {
        using Plot plot = Draw(TextInk, Colors.Transparent);
        string svg = plot.GetSvgXml(Width, Height);
        svg = svg[svg.IndexOf("<svg", StringComparison.Ordinal)..].Replace(TextInk, "currentColor", StringComparison.OrdinalIgnoreCase);
        return Fonts().Replace(Ids().Replace(svg, $"$1{prefix}$2"), "font-family=\"$1, sans-serif\"");
    }

    public void SavePng(string path)
    {
        using Plot plot = Draw("#333333", Colors.White);
        plot.SavePng(path, Width, Height);
    }

    private Plot Draw(string ink, Color ground)
    {
        Plot plot = new();
        for (int i = 0; i < _curves.Count; i++)
        {
            Draw(plot, _curves[i], i, Color.FromHex(ink));
        }

        plot.Title(Title, size: 16);
        plot.XLabel(across);
        plot.YLabel(up);
        plot.FigureBackground.Color = ground;
        plot.DataBackground.Color = ground;
        plot.Axes.Color(Color.FromHex(ink));
        plot.Grid.MajorLineColor = Color.FromHex("#888888").WithAlpha(0.25);
        plot.Axes.AutoScale();
        plot.Axes.SetLimitsY(0, Math.Max(plot.Axes.GetDataLimits().Top * 1.12, double.Epsilon));
        ShowLegend(plot, Color.FromHex(ink));
        plot.Font.Set(Font);
        return plot;
    }

    private static void Draw(Plot plot, Curve curve, int index, Color ink)
    {
        ScottPlot.Plottables.Scatter line = plot.Add.Scatter(curve.Xs, curve.Ys, Color.FromHex(Palette[index % Palette.Count]));
        line.LegendText = curve.Name;
        line.LineWidth = 2;
        line.LinePattern = curve.IsPrediction ? LinePattern.Dashed : LinePattern.Solid;
        line.MarkerShape = Markers[index % Markers.Length];
        line.MarkerSize = curve.Labels is null ? 0 : 7;
        for (int i = 0; i < curve.Labels?.Length; i++)
        {
            ScottPlot.Plottables.Text label = plot.Add.Text(curve.Labels[i], curve.Xs[i], curve.Ys[i]);
            label.LabelFontColor = ink;
            label.LabelFontName = Font;
            label.LabelAlignment = Alignment.LowerLeft;
            label.OffsetX = 5;
            label.OffsetY = -3;
        }
    }

    private static void ShowLegend(Plot plot, Color ink)
    {
        plot.ShowLegend(Edge.Bottom);
        plot.Legend.BackgroundColor = Colors.Transparent;
        plot.Legend.OutlineColor = Colors.Transparent;
        plot.Legend.ShadowColor = Colors.Transparent;
        plot.Legend.FontColor = ink;
    }

    [GeneratedRegex("""(id="|href="#|url\(#)([A-Za-z_])""")]
    private static partial Regex Ids();

    [GeneratedRegex("font-family=\"([^\"]+)\"")]
    private static partial Regex Fonts();

    private readonly record struct Curve(string Name, double[] Xs, double[] Ys, bool IsPrediction, string[]? Labels);
}
