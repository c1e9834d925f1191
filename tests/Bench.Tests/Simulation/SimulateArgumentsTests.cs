using LlamaServe.Bench.Simulation;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests.Simulation;

internal sealed class SimulateArgumentsTests
{
    [TestCase("--weight-bits 0", "bits")]
    [TestCase("--weight-bits NaN", "bits")]
    [TestCase("--kv-bits -8", "bits")]
    [TestCase("--compute-efficiency 0", "efficiencies")]
    [TestCase("--bandwidth-efficiency 5", "efficiencies")]
    [TestCase("--tensor-parallel 3", "3 GPUs do not share 8 KV heads")]
    [TestCase("--tensor-parallel 16", "16 GPUs do not share 8 KV heads")]
    [TestCase("--step-time -1", "--step-time")]
    [TestCase("--replicas 0", "at least 1")]
    [TestCase("--rate 0", "--rate")]
    [TestCase("--rate 1 --burstiness 0", "--burstiness")]
    [TestCase("--burstiness 2", "--burstiness means nothing without --rate")]
    [TestCase("--turns 3", "--turns means nothing without --agents")]
    [TestCase("--agents --shared-prefix 0.5", "--shared-prefix means nothing with --agents")]
    [TestCase("--sharegpt a.json", "--tokenizer")]
    [TestCase("--trace-block 16", "without --trace")]
    [TestCase("--trace a.jsonl --rate 4", "--rate means nothing with --trace")]
    [TestCase("--trace a.jsonl --agents", "--agents means nothing with --trace")]
    [TestCase("--step-cost a.json --model llama-3-8b", "--model means nothing with --step-cost")]
    [TestCase("--step-cost a.json --tensor-parallel 2", "--tensor-parallel means nothing with --step-cost")]
    public void What_makes_no_sense_is_refused_and_named(string arguments, string part) =>
        Assert.That(() => Read(arguments), Throws.ArgumentException.With.Message.Contains(part));

    [Test]
    public void Burstiness_sets_the_gaps()
    {
        double[] even = Gaps("--rate 4 --burstiness inf --count 2000"), bursts = Gaps("--rate 4 --burstiness 0.1 --count 2000");

        Assert.That(even, Is.All.EqualTo(0.25).Within(1e-9));
        // The coefficient of variation of a gamma distribution of shape 0.1 is √10.
        Assert.That(Math.Sqrt(bursts.Average(gap => Math.Pow(gap - bursts.Average(), 2))) / bursts.Average(), Is.InRange(2, 5));

        static double[] Gaps(string arguments)
        {
            IReadOnlyList<double> times = Read(arguments).Load.Arrivals;
            return [.. times.Zip(times.Skip(1), (a, b) => b - a)];
        }
    }

    [Test]
    public void Replicas_of_several_gpus_count_as_so_many_and_those_of_measured_steps_as_one()
    {
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "cost.json");
        new StepCostFile("model", 4096, [1e-3, 0, 0, 0, 0]).Save(path);
        SimulatedRun expected = Read("--tensor-parallel 4 --replicas 3"), measured = Read($"--step-cost {path} --replicas 3");

        Assert.That((expected.Devices, measured.Devices, measured.KvTokens), Is.EqualTo((12, 3, 4096)));
    }

    private static SimulatedRun Read(string arguments) => SimulateArguments.Read(SimulateCommand.Create().Parse(arguments));
}
