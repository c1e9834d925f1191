using System.Text.RegularExpressions;
using ScottPlot;

namespace LlamaServe.Bench.Report;

/// <summary>A line chart that can be read on light and on dark ground.</summary>
internal sealed partial class Chart(string title, string across, string up)
{
    private const int Width = 760;
    private const int Height = 420;

    // Okabe and Ito's colours without black and yellow: told apart by colour-blind readers, and seen on white and on black.
    private static readonly string[] Palette = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"];

    private readonly List<Curve> _curves = [];

    public string Title { get; } = title;

    public bool IsEmpty => _curves.Count == 0;

    /// <summary>Adds a curve.</summary>
    /// <param name="marksPoints">Whether the points are marked, or only joined.</param>
    public void Add(string name, double[] xs, double[] ys, bool marksPoints)
    {
        if (xs.Length > 0)
        {
            _curves.Add(new Curve(name, xs, ys, marksPoints));
        }
    }

    /// <summary>As part of a page; ids in it begin with <paramref name="prefix"/>, since those of all charts of a page differ.</summary>
    public string ToSvg(string prefix)
    {
        using Plot plot = Draw("#888888", Colors.Transparent);
        string svg = plot.GetSvgXml(Width, Height);
        svg = svg[svg.IndexOf("<svg", StringComparison.Ordinal)..];
        return Ids().Replace(svg, $"$1{prefix}$2");
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
            Curve curve = _curves[i];
            ScottPlot.Plottables.Scatter line = plot.Add.Scatter(curve.Xs, curve.Ys, Color.FromHex(Palette[i % Palette.Length]));
            line.LegendText = curve.Name;
            line.LineWidth = 2;
            line.MarkerSize = curve.MarksPoints ? 7 : 0;
        }

        plot.Title(Title, size: 16);
        plot.XLabel(across);
        plot.YLabel(up);
        plot.FigureBackground.Color = ground;
        plot.DataBackground.Color = ground;
        plot.Axes.Color(Color.FromHex(ink));
        plot.Grid.MajorLineColor = Color.FromHex("#888888").WithAlpha(0.25);
        plot.Axes.AutoScale();
        plot.Axes.SetLimitsY(0, Math.Max(plot.Axes.GetDataLimits().Top * 1.05, double.Epsilon));
        ShowLegend(plot, Color.FromHex(ink));
        return plot;
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

    private readonly record struct Curve(string Name, double[] Xs, double[] Ys, bool MarksPoints);
}
