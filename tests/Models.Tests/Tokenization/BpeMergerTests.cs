using LlamaServe.Models.Tokenization;

namespace LlamaServe.Models.Tests.Tokenization;

public sealed class BpeMergerTests
{
    [Test]
    public void The_heap_merges_as_a_scan_for_the_best_pair_does()
    {
        Random random = new(11);
        BpeMerger merger = new();
        for (int i = 0; i < 3000; i++)
        {
            List<(int, int, int, int)> merges = RandomMerges(random, symbols: random.Next(2, 6), count: random.Next(30), ranks: random.Next(1, 30));
            int[] symbols = [.. Enumerable.Range(0, random.Next(60)).Select(_ => random.Next(-1, 5))];
            int[] expected = Scan(symbols, merges);
            int count = merger.Merge(symbols, new MergeTable(merges));
            Assert.That(symbols[..count], Is.EqualTo(expected));
        }
    }

    [Test]
    public void A_run_of_one_letter_takes_no_quadratic_time()
    {
        string[] merges = [.. Enumerable.Range(0, 7).Select(power => $"{new string('a', 1 << power)} {new string('a', 1 << power)}")];
        Tokenizer tokenizer = TinyTokenizers.Load(TinyTokenizers.ByteLevel(merges));
        string text = new('a', 128_000);
        TimeSpan started = Environment.CpuUsage.TotalTime;
        List<int> ids = tokenizer.Encode(text);
        Assert.That(ids, Has.Count.EqualTo(1000));
        Assert.That(tokenizer.Decode([.. ids]), Is.EqualTo(text));
        Assert.That(Environment.CpuUsage.TotalTime - started, Is.LessThan(TimeSpan.FromSeconds(10)), "a quadratic merge takes minutes, this one a tenth of a second");
    }

    [Test]
    public void Merging_word_by_word_changes_no_id()
    {
        string[] pieces = ["▁", "a", "b", "é"], merges = ["▁ a", "▁ ▁", "▁▁ ▁▁", "a b", "▁a b", "▁▁ a", "b b"];
        Tokenizer byWord = TinyTokenizers.Load(TinyTokenizers.CodePoints(pieces, merges));
        Tokenizer whole = TinyTokenizers.Load(TinyTokenizers.CodePoints([.. pieces, .. merges.Select(merge => merge.Replace(" ", "", StringComparison.Ordinal)), "b▁"], merges));
        Random random = new(4);
        for (int i = 0; i < 2000; i++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(40)).Select(_ => "  abébx▁"[random.Next(8)]));
            Assert.That(byWord.Encode(text), Is.EqualTo(whole.Encode(text)), text);
        }
    }

    [Test]
    public void Threads_share_a_tokenizer()
    {
        Tokenizer tokenizer = TinyTokenizers.Load(TinyTokenizers.ByteLevel("o n", "on c", "onc e", "Ġ u", "Ġu p"));
        string[] texts = [.. Enumerable.Range(0, 200).Select(seed => RandomText.Next(new Random(seed), 30))];
        List<int>[] expected = [.. texts.Select(text => tokenizer.Encode(text))];
        Parallel.For(0, 4000, i => Assert.That(tokenizer.Encode(texts[i % 200]), Is.EqualTo(expected[i % 200])));
    }

    private static List<(int, int, int, int)> RandomMerges(Random random, int symbols, int count, int ranks)
    {
        List<(int, int, int, int)> merges = [];
        HashSet<(int, int)> pairs = [];
        for (int i = 0; i < count; i++)
        {
            int left = random.Next(symbols + i), right = random.Next(symbols + i);
            if (pairs.Add((left, right)))
            {
                merges.Add((left, right, random.Next(ranks), symbols + i));
            }
        }
        return merges;
    }

    private static int[] Scan(int[] symbols, List<(int Left, int Right, int Rank, int Merged)> merges)
    {
        Dictionary<(int, int), (int Rank, int Merged)> table = merges.ToDictionary(merge => (merge.Left, merge.Right), merge => (merge.Rank, merge.Merged));
        List<int> list = [.. symbols];
        while (true)
        {
            int best = -1, bestRank = int.MaxValue;
            for (int i = 0; i + 1 < list.Count; i++)
            {
                if (table.TryGetValue((list[i], list[i + 1]), out (int Rank, int Merged) merge) && merge.Rank < bestRank)
                {
                    (best, bestRank) = (i, merge.Rank);
                }
            }
            if (best < 0)
            {
                return [.. list];
            }
            list[best] = table[(list[best], list[best + 1])].Merged;
            list.RemoveAt(best + 1);
        }
    }
}
