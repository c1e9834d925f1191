using LlamaServe.Bench.Machine;
using LlamaServe.Bench.Models;
using LlamaServe.Bench.Operations;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Tests.Operations;

public sealed class KernelsRunTests
{
    private static readonly LlamaShape Tiny = new() { Hidden = 64, Layers = 1, Heads = 4, KvHeads = 2, HeadSize = 32, FeedForward = 256, Vocabulary = 512 };

    private static readonly MachineLimits Limits = new(
        Threads: 1, ReadBytesPerSecond: 100, Int8MultiplyAddsPerSecond: 1000, BFloat16MultiplyAddsPerSecond: null, Float32MultiplyAddsPerSecond: 10);

    [Test]
    public void Every_operation_is_measured_beside_its_floor_and_where_it_has_one_its_peer()
    {
        KernelsRun run = new(Tiny, threads: 1, new TurnClock(rounds: 1, TimeSpan.FromMicroseconds(20)), TextWriter.Null) { Formats = [WeightFormat.Q4_0, WeightFormat.BF16], Rows = [1, 3] };
        (MachineLimits limits, IReadOnlyList<OperationRow> rows) = run.Measure(Enum.GetValues<OperationGroup>());
        Assert.That(limits.ReadBytesPerSecond, Is.Positive);
        Assert.That(rows.Where(row => !(row.Seconds > 0 && row.FloorSeconds > 0 && row.BytesPerSecond > 0)), Is.Empty);
        Assert.That(rows.Select(row => row.Name), Is.Unique);
        Assert.That(rows.Where(row => row.Peer is not null && !(row.Ratio > 0)), Is.Empty);
        string[] withPeer = [.. rows.Where(row => row.Ratio is not null).Select(row => row.Operation).Distinct()];
        Assert.That(withPeer, Is.EquivalentTo(new[] { "Linear", "GatedLinear", "RmsNorm", "GatedActivation", "GatherRows", "Embed", "PagedAttention", "Sample" }));
        Assert.That(
            rows.Select(row => row.Operation).Distinct().Except(withPeer),
            Is.EquivalentTo(new[] { "RopeAndStoreKv", "CopyBlocks", "Route", "Route, ExpertLinear", "Route, CombineExperts" }));
    }

    [TestCase(500, 0, Arithmetic.Float32, 5)]
    [TestCase(500, 100, Arithmetic.Float32, 10)]
    [TestCase(500, 100, Arithmetic.Int8, 5)]
    [TestCase(500, 1e9, Arithmetic.BFloat16, 5, Description = "its peak is unknown")]
    public void The_floor_is_what_takes_longer(double bytes, double multiplyAdds, object arithmetic, double seconds)
    {
        OperationCase operation = new("operation", "shape", Variants: 1, _ => { })
        {
            Bytes = bytes,
            MultiplyAdds = multiplyAdds,
            Arithmetic = (Arithmetic)arithmetic,
        };
        OperationRow row = OperationRow.Measure(operation, new TurnClock(rounds: 1, TimeSpan.Zero)).WithFloor(Limits);
        Assert.That(row.FloorSeconds, Is.EqualTo(seconds));
        Assert.That(row.OfFloor, Is.EqualTo(seconds / row.Seconds));
        Assert.That(row.Ratio, Is.Null);
    }

    [Test]
    public void Both_sides_take_turns_and_go_through_all_variants()
    {
        List<(char Side, int Variant)> calls = [];
        (double[] ours, double[] peers) = new TurnClock(rounds: 3, TimeSpan.Zero).Measure(3, i => calls.Add(('a', i)), i => calls.Add(('b', i)));
        Assert.That((ours.Length, peers.Length), Is.EqualTo((3, 3)));
        // A first call of each to warm up, then in each turn one that wakes the threads and one that counts.
        Assert.That(new string([.. calls.Select(call => call.Side)]), Is.EqualTo("ab" + "aabb" + "aabb" + "aabb"));
        Assert.That(calls.Where(call => call.Side == 'a').Select(call => call.Variant), Is.EqualTo(new[] { 0, 1, 2, 0, 1, 2, 0 }));
    }

    [TestCase(new double[] { 3 }, 3)]
    [TestCase(new double[] { 9, 1, 2 }, 2)]
    [TestCase(new double[] { 4, 1, 2, 9 }, 3)]
    public void The_median_does_not_follow_outliers(double[] values, double median) =>
        Assert.That(TurnClock.Median(values), Is.EqualTo(median));
}
