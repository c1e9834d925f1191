using LlamaServe.Bench.Simulation;
using LlamaServe.Testing;

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
    public void A_fit_is_kept_in_a_file()
    {
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "cost.json");
        StepCostFile written = new("model", 4096, [1e-3, 1e-5, 0, 2e-8, 1e-9]);
        written.Save(path);
        StepCostFile read = StepCostFile.Load(path);

        Assert.That((read.Model, read.KvTokens), Is.EqualTo(("model", 4096)));
        Assert.That(read.Seconds, Is.EqualTo(written.Seconds));
        Assert.That(() => new FittedStepCost([1, 2]), Throws.ArgumentException);
        Assert.That(() => new FittedStepCost([1, 0, 0, -1, 0]), Throws.ArgumentException);
        File.WriteAllText(path, "{}");
        Assert.That(() => StepCostFile.Load(path), Throws.ArgumentException);
    }

    [Test]
    public void Too_few_steps_are_refused() =>
        Assert.That(() => FittedStepCost.Fit([new MeasuredStep(new StepSize(1, 1, 1, 0), 1)]), Throws.ArgumentException);

    [Test]
    public void Disturbed_steps_keep_their_weight_in_the_sum()
    {
        // Every other step takes three times as long as it should: the expected time is twice the undisturbed one.
        Random random = new(3);
        MeasuredStep[] steps = [.. Enumerable.Range(0, 1000).Select(i => Step(random, 1e-3, 2e-5, 1e-6, 3e-9)).Select((step, i) => step with { Seconds = step.Seconds * (1 + 2 * (i % 2)) })];
        FittedStepCost fitted = FittedStepCost.Fit(steps);

        Assert.That(steps.Sum(step => fitted.Seconds(step.Size)), Is.EqualTo(steps.Sum(step => step.Seconds)).Within(5).Percent);
    }

    [Test]
    public void Attention_in_prompts_and_while_decoding_is_told_apart()
    {
        Random random = new(4);
        MeasuredStep[] steps = [.. Enumerable.Range(0, 300).Select(_ => new StepSize(random.Next(1, 500), random.Next(1, 32), random.Next(30000), random.Next(300000)))
            .Select(size => new MeasuredStep(size, 1e-3 + 1e-5 * size.Tokens + 5e-8 * size.DecodeAttended + 1e-8 * size.PrefillAttended))];

        Assert.That(FittedStepCost.Fit(steps).Weights, Is.EqualTo(new[] { 1e-3, 1e-5, 0, 5e-8, 1e-8 }).Within(1e-9));
    }

    private static MeasuredStep Step(Random random, double a, double b, double c, double d)
    {
        int sequences = random.Next(1, 64), tokens = sequences + random.Next(500);
        double attended = tokens * (double)random.Next(1, 4000);
        return new MeasuredStep(new StepSize(tokens, sequences, attended, 0), a + b * tokens + c * sequences + d * attended);
    }
}
