using LlamaServe.Bench.Simulation;

namespace LlamaServe.Bench.Tests.Simulation;

internal sealed class MedianRatioTests
{
    [TestCase(1.1, 0.9, 1.0, 0.1001, new string[0])]
    [TestCase(1.2, 0.9, 1.0, 0.1001, new[] { "output tokens/s" })]
    [TestCase(1.0, 0.79, 1.0, 0.1001, new[] { "time to first token" })]
    [TestCase(1.0, 1.0, double.NaN, 0.1, new[] { "time between tokens" })]
    public void What_is_off_by_more_than_the_tolerance_is_named(double tokens, double first, double between, double tolerance, string[] missed)
    {
        using StringWriter output = new();
        bool isMissed = CheckTable.WriteMissed([Check("all at once", 1, 1, 1), Check("by and by", tokens, first, between)], tolerance, output);
        string[] lines = output.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);

        Assert.That(isMissed, Is.EqualTo(missed.Length > 0));
        Assert.That(lines, Has.Length.EqualTo(missed.Length));
        Assert.That(missed.Zip(lines), Is.All.Matches<(string Part, string Line)>(pair => pair.Line.Contains(pair.Part) && pair.Line.Contains("by and by")));
    }

    [Test]
    public void One_disturbed_round_does_not_decide()
    {
        using StringWriter output = new();
        Assert.That(CheckTable.WriteMissed([Check("load", 1, 1, 1), Check("load", 3, 0.2, 9), Check("load", 1.05, 1, 1)], 0.1, output), Is.False);
        Assert.That(CheckTable.WriteMissed([Check("load", 1, 1, 1), Check("load", 3, 1, 1), Check("load", 3, 1, 1)], 0.1, output), Is.True);
    }

    private static SimulationCheck Check(string load, double tokens, double first, double between) =>
        new(load, 1, new ServingFigures(100, 0.5, 0.01), new ServingFigures(100 * tokens, 0.5 * first, 0.01 * between), new ServingFigures(100, 0.5, 0.01), null);
}
