using LlamaServe.Kernels.Cuda;

namespace LlamaServe.Kernels.Tests.Cuda.Attention;

/// <summary>Every row is computed once, and the device finds its work where the plan says.</summary>
public sealed class AttentionPlannerTests
{
    private static readonly AttentionShape Shape = new(8, 2, 64, 0.125f, 0);

    [Test]
    public void Every_row_is_in_one_tile([Values(1, 8, 1000)] int multiprocessors, [Values(0, 40, 100_000)] int maxPartialRows)
    {
        int[] queries = [1, 130, 4, 5, 1, 16, 17], contexts = [4097, 130, 260, 5, 1, 700, 2000];
        (int[] plan, AttentionPlanCounts counts) = Fill(Shape, multiprocessors, maxPartialRows, queries, contexts);
        List<(int, int)> rows = [];
        for (int tile = 0; tile < counts.WholeTiles + counts.SplitTiles; tile++)
        {
            (int sequence, int first) = (Entry(plan, tile, 0), Entry(plan, tile, 1));
            int most = tile < counts.WholeTiles ? AttentionPlanner.WholeRows : AttentionPlanner.SplitRows;
            rows.AddRange(Enumerable.Range(first, Math.Min(most, queries[sequence] * 4 - first)).Select(row => (sequence, row)));
        }
        Assert.That(rows.Order(), Is.EqualTo(queries.SelectMany((count, s) => Enumerable.Range(0, count * 4).Select(row => (s, row)))));
        Assert.That(counts.PartialRows, Is.LessThanOrEqualTo(maxPartialRows));
        Assert.That(plan[..4], Is.EqualTo(new[] { counts.WholeTiles, counts.SplitTiles, counts.SplitUnits, 0 }));
    }

    [Test]
    public void Units_and_partial_rows_follow_one_another()
    {
        (int[] plan, AttentionPlanCounts counts) = Fill(Shape, int.MaxValue, 1000, [1, 1, 6], [256, 513, 258]);
        // 1 chunk; 3 chunks of 4 rows; positions 252 .. 255 in 1 chunk of 16 rows, 256 and 257 in 2 of 8.
        Assert.That(counts, Is.EqualTo(new AttentionPlanCounts(0, 4, 1 + 3 + 1 + 2, 12 + 16)));
        Assert.That(Enumerable.Range(0, 4).Select(tile => Entry(plan, tile, 2)), Is.EqualTo(new[] { 0, 1, 4, 5 }));
        Assert.That(Enumerable.Range(0, 4).Select(tile => Entry(plan, tile, 3)), Is.EqualTo(new[] { -1, 0, -1, 12 }));
    }

    [TestCase(0, 4)]
    [TestCase(1, 1)]
    [TestCase(232, 1)]
    [TestCase(233, 2)]
    [TestCase(2000, 4)]
    public void Chunks_before_the_window_are_no_units(int window, int units) =>
        Assert.That(Fill(Shape with { SlidingWindow = window }, int.MaxValue, 1000, [1], [1000]).Counts.SplitUnits, Is.EqualTo(units));

    [Test]
    public void Later_tiles_of_a_prompt_come_first()
    {
        (int[] plan, AttentionPlanCounts counts) = Fill(Shape, 1, 1000, [40], [40]);
        Assert.That(counts.WholeTiles, Is.EqualTo(3));
        Assert.That(Enumerable.Range(0, 3).Select(tile => Entry(plan, tile, 1)), Is.EqualTo(new[] { 128, 64, 0 }));
    }

    [Test]
    public void The_largest_plan_fits_its_bound()
    {
        int[] queries = [.. Enumerable.Range(1, 20)];
        int words = Fill(Shape, int.MaxValue, 1 << 20, queries, queries).Counts.Words;
        Assert.That(words, Is.LessThanOrEqualTo(AttentionPlanner.MaxWords(queries.Sum(), queries.Length, 4)));
    }

    private static (int[] Plan, AttentionPlanCounts Counts) Fill(AttentionShape shape, int multiprocessors, int maxPartialRows, int[] queries, int[] contexts)
    {
        int[] starts = [0, .. queries.Select((_, i) => queries.Take(i + 1).Sum())];
        int[] plan = new int[AttentionPlanner.MaxWords(starts[^1], queries.Length, shape.Heads / shape.KvHeads)];
        return (plan, AttentionPlanner.Fill(plan, starts, contexts, shape, multiprocessors, maxPartialRows));
    }

    private static int Entry(int[] plan, int tile, int word) => plan[(1 + tile) * AttentionPlanner.EntryWords + word];
}
