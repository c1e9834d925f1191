using LlamaServe.Bench.Simulation;

namespace LlamaServe.Bench.Tests.Simulation;

internal sealed class FittedStepCostTests
{
    [Test]
    public void What_made_the_times_is_found()
    {
        Random random = new(1);
        MeasuredStep[] steps = [.. Enumerable.Range(0, 200).Select(_ => Step(random, 1e-3, 2e-5, 1e-6, 3e-9))];
        FittedStepCost fitted = FittedStepCost.Fit(steps);

        foreach (MeasuredStep step in steps)
        {
            Assert.That(fitted.Seconds(step.Size), Is.EqualTo(step.Seconds).Within(0.01).Percent);
        }
    }

    [Test]
    public void No_term_is_negative()
    {
        Random random = new(2);
        FittedStepCost fitted = FittedStepCost.Fit([.. Enumerable.Range(0, 200).Select(_ => Step(random, 1e-2, 2e-5, 0, -1e-9))]);

        Assert.That(fitted.Seconds(new StepSize(1, 1, 1e9, 0)), Is.GreaterThan(fitted.Seconds(new StepSize(1, 1, 1, 0)) - 1e-12));
    }

    [Test]
    public void Steps_of_one_kind_alone_are_enough()
    {
        // Decoding only: as many tokens as sequences, so the two cannot be told apart.
        MeasuredStep[] steps = [.. Enumerable.Range(1, 50).Select(i => new MeasuredStep(new StepSize(i, i, 100 * i, 0), 1e-3 + 1e-4 * i))];

        Assert.That(FittedStepCost.Fit(steps).Seconds(steps[30].Size), Is.EqualTo(steps[30].Seconds).Within(0.1).Percent);
    }

    [Test]
    public void Too_few_steps_are_refused() =>
        Assert.That(() => FittedStepCost.Fit([new MeasuredStep(new StepSize(1, 1, 1, 0), 1)]), Throws.ArgumentException);

    private static MeasuredStep Step(Random random, double a, double b, double c, double d)
    {
        int sequences = random.Next(1, 64), tokens = sequences + random.Next(500);
        double attended = tokens * (double)random.Next(1, 4000);
        return new MeasuredStep(new StepSize(tokens, sequences, attended, 0), a + b * tokens + c * sequences + d * attended);
    }
}
