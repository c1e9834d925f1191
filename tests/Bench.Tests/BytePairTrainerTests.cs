using System.Text;
using LlamaServe.Bench.Training;

namespace LlamaServe.Bench.Tests;

internal sealed class BytePairTrainerTests
{
    private const int FirstMerge = 256;

    [Test]
    public void The_most_frequent_pair_is_merged_first()
    {
        // "ab" occurs four times, "bc" and "cd" twice.
        BytePairVocabulary vocabulary = BytePairTrainer.Train(["ab ab abcd abcd"], 259);

        Assert.That(Text(vocabulary, FirstMerge), Is.EqualTo("ab"));
    }

    [Test]
    public void Merges_build_on_earlier_merges()
    {
        BytePairVocabulary vocabulary = BytePairTrainer.Train([string.Concat(Enumerable.Repeat(" wolf", 10))], 300);

        Assert.That(Text(vocabulary, vocabulary.Tokens.Count - 1), Is.EqualTo(" wolf"));
        Assert.That(Encode(vocabulary, " wolf"), Is.EqualTo(new[] { vocabulary.Tokens.Count - 1 }));
    }

    [Test]
    public void Pairs_that_occur_once_are_not_merged()
    {
        BytePairVocabulary vocabulary = BytePairTrainer.Train(["abcdef"], 4096);

        Assert.That(vocabulary.Merges, Is.Empty);
        Assert.That(vocabulary.Size, Is.EqualTo(258));
    }

    [Test]
    public void Incremental_counts_choose_the_same_merges_as_counting_again_each_time()
    {
        string text = RandomText(new Random(7), 3000, "abc ");

        BytePairVocabulary vocabulary = BytePairTrainer.Train([text], 258 + 60);

        Assert.That(vocabulary.Merges, Is.EqualTo(MergesByRecounting(text, 60)));
    }

    [Test]
    public void A_vocabulary_smaller_than_the_bytes_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => BytePairTrainer.Train(["abc"], 257));

    [Test]
    public void Any_text_survives_encoding_and_decoding([Range(0, 9)] int seed)
    {
        BytePairVocabulary vocabulary = BytePairTrainer.Train([RandomText(new Random(1), 2000, "the wolf's ")], 300);
        string text = RandomText(new Random(seed), 500, "the wolf's\n\tÄéß中文🐺٣1234567890 !?\u00a0");

        Assert.That(vocabulary.Decode(Encode(vocabulary, text)), Is.EqualTo(text));
    }

    private static int[] Encode(BytePairVocabulary vocabulary, string text)
    {
        List<int> tokens = [];
        vocabulary.Encode(text, tokens);
        return [.. tokens];
    }

    private static string Text(BytePairVocabulary vocabulary, int token) =>
        Encoding.UTF8.GetString(vocabulary.Tokens[token]);

    private static string RandomText(Random random, int length, string letters)
    {
        Rune[] runes = [.. letters.EnumerateRunes()];
        return string.Concat(Enumerable.Range(0, length).Select(_ => runes[random.Next(runes.Length)].ToString()));
    }

    private static List<(int, int)> MergesByRecounting(string text, int count)
    {
        byte[] order = ByteAlphabet.BytesInTokenOrder();
        List<int[]> words =
            [.. BytePairVocabulary.Words(text).Select(word => Encoding.UTF8.GetBytes(word).Select(value => Array.IndexOf(order, value)).ToArray())];
        List<(int, int)> merges = [];
        while (merges.Count < count)
        {
            (int Left, int Right) best = words.SelectMany(word => word.Zip(word.Skip(1)))
                .CountBy(pair => pair).OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key).First().Key;
            words = [.. words.Select(word => Join(word, best, FirstMerge + merges.Count))];
            merges.Add(best);
        }
        return merges;
    }

    private static int[] Join(int[] word, (int Left, int Right) pair, int merged)
    {
        List<int> joined = [];
        foreach (int token in word)
        {
            joined.Add(token);
            if (joined.Count > 1 && joined[^2] == pair.Left && joined[^1] == pair.Right)
            {
                joined.RemoveRange(joined.Count - 2, 2);
                joined.Add(merged);
            }
        }
        return [.. joined];
    }
}
