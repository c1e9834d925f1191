using System.Runtime.InteropServices;
using System.Text;

namespace LlamaServe.Bench.Training;

/// <summary>
/// Learns byte-level BPE merges: repeatedly joins the most frequent neighbouring pair of tokens, counted over the
/// distinct words of the text weighted by how often each occurs (Sennrich et al. 2016, arXiv:1508.07909).
/// </summary>
internal sealed class BytePairTrainer
{
    private readonly List<(List<int> Tokens, long Count)> _words = [];
    private readonly Dictionary<(int, int), long> _pairCounts = [];
    private readonly Dictionary<(int, int), HashSet<int>> _wordsWithPair = [];
    // Most frequent first; equal counts by pair, so that training is deterministic. Entries may be stale: a pop whose
    // count is no longer the pair's count is pushed again with the present one.
    private readonly PriorityQueue<(int Left, int Right), (long, int, int)> _queue = new();

    private BytePairTrainer(IEnumerable<string> texts)
    {
        var counts = new Dictionary<string, long>();
        foreach (string word in texts.SelectMany(BytePairVocabulary.Words))
        {
            CollectionsMarshal.GetValueRefOrAddDefault(counts, word, out _)++;
        }
        byte[] order = ByteAlphabet.BytesInTokenOrder();
        foreach ((string word, long count) in counts)
        {
            _words.Add(([.. Encoding.UTF8.GetBytes(word).Select(value => Array.IndexOf(order, value))], count));
            AddPairs(_words.Count - 1, count);
        }
        foreach ((int, int) pair in _pairCounts.Keys)
        {
            Push(pair);
        }
    }

    /// <summary>Learns a vocabulary of at most <paramref name="size"/> tokens, special tokens included.</summary>
    /// <remarks>It ends smaller when no pair occurs twice any more.</remarks>
    public static BytePairVocabulary Train(IEnumerable<string> texts, int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 258);
        var trainer = new BytePairTrainer(texts);
        var merges = new List<(int, int)>();
        while (merges.Count < size - 258 && trainer.TryTakeMostFrequent(out (int, int) pair))
        {
            trainer.Merge(pair, 256 + merges.Count);
            merges.Add(pair);
        }
        return new BytePairVocabulary(merges);
    }

    private bool TryTakeMostFrequent(out (int Left, int Right) pair)
    {
        while (_queue.TryDequeue(out pair, out (long NegativeCount, int, int) priority))
        {
            long count = _pairCounts.GetValueOrDefault(pair);
            if (count == -priority.NegativeCount && count > 1)
            {
                return true;
            }
            if (count > 1)
            {
                Push(pair);
            }
        }
        return false;
    }

    private void Merge((int Left, int Right) pair, int merged)
    {
        int[] affected = [.. _wordsWithPair[pair]];
        var touched = new HashSet<(int, int)>();
        foreach (int word in affected)
        {
            (List<int> tokens, long count) = _words[word];
            AddPairs(word, -count);
            Join(tokens, pair, merged);
            AddPairs(word, count);
            for (int i = 0; i + 1 < tokens.Count; i++)
            {
                if (tokens[i] == merged || tokens[i + 1] == merged)
                {
                    touched.Add((tokens[i], tokens[i + 1]));
                }
            }
        }
        _wordsWithPair.Remove(pair);
        foreach ((int, int) changed in touched)
        {
            Push(changed);
        }
    }

    private static void Join(List<int> tokens, (int Left, int Right) pair, int merged)
    {
        int kept = 0;
        for (int i = 0; i < tokens.Count; i++)
        {
            bool joins = i + 1 < tokens.Count && tokens[i] == pair.Left && tokens[i + 1] == pair.Right;
            tokens[kept++] = joins ? merged : tokens[i];
            i += joins ? 1 : 0;
        }
        tokens.RemoveRange(kept, tokens.Count - kept);
    }

    private void AddPairs(int word, long count)
    {
        List<int> tokens = _words[word].Tokens;
        for (int i = 0; i + 1 < tokens.Count; i++)
        {
            (int, int) pair = (tokens[i], tokens[i + 1]);
            CollectionsMarshal.GetValueRefOrAddDefault(_pairCounts, pair, out _) += count;
            if (count > 0)
            {
                ref HashSet<int>? words = ref CollectionsMarshal.GetValueRefOrAddDefault(_wordsWithPair, pair, out _);
                (words ??= []).Add(word);
            }
        }
    }

    private void Push((int Left, int Right) pair) =>
        _queue.Enqueue(pair, (-_pairCounts[pair], pair.Left, pair.Right));
}
