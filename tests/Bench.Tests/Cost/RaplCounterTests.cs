using LlamaServe.Bench.Cost;

namespace LlamaServe.Bench.Tests.Cost;

internal sealed class RaplCounterTests
{
    private string _root = "";

    [SetUp]
    public void MakeFolder() => _root = Directory.CreateTempSubdirectory().FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_root, recursive: true);

    [Test]
    public void Packages_are_added_up_across_a_wrap_and_their_parts_left_out()
    {
        Write("intel-rapl:0", 900_000);
        Write("intel-rapl:1", 0);
        Write("intel-rapl:0:0", 0);
        RaplCounter counter = RaplCounter.TryOpen(_root)!;
        double before = counter.Joules;

        Write("intel-rapl:0", 100_000);
        Write("intel-rapl:1", 300_000);
        Write("intel-rapl:0:0", 500_000);

        // 0.2 J of the first around its range of 1 J, and 0.3 of the second.
        Assert.That(counter.Joules - before, Is.EqualTo(0.5).Within(1e-9));
    }

    [Test]
    public void Without_counters_there_is_none()
    {
        Assert.That(RaplCounter.TryOpen(_root), Is.Null);
        Assert.That(RaplCounter.TryOpen(Path.Combine(_root, "none")), Is.Null);
    }

    private void Write(string zone, int microjoules)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_root, zone)).FullName;
        File.WriteAllText(Path.Combine(folder, "energy_uj"), $"{microjoules}\n");
        File.WriteAllText(Path.Combine(folder, "max_energy_range_uj"), "1000000\n");
    }
}
