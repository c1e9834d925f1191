using System.Text.Json;
using LlamaServe.Models.Tokenization;

namespace LlamaServe.Bench.Load;

/// <summary>
/// Conversations of a file in ShareGPT's format, an array of <c>{"conversations": [{"from": …, "value": …}, …]}</c>: the first
/// message is the prompt, the second gives the answer's length. As is usual, prompts and answers of fewer than 4 tokens, prompts above
/// 1024 and pairs above 2048 are left out.
/// </summary>
internal static class ShareGptWorkload
{
    private const int Shortest = 4;
    private const int LongestPrompt = 1024;
    private const int LongestPair = 2048;

    /// <param name="skip">Conversations that fit and are passed over, because an earlier run with the same seed has sent them.</param>
    /// <returns>The next <paramref name="count"/> that fit, after a shuffle.</returns>
    /// <exception cref="ArgumentException">The file is not in the format, or has too few conversations that fit.</exception>
    public static Conversation[] Read(string path, int count, Tokenizer tokenizer, Random random, int skip = 0)
    {
        string[][] pairs = [.. Pairs(path)];
        random.Shuffle(pairs);
        Conversation[] fitting = [.. pairs.Select(pair => Make(pair, tokenizer)).OfType<Conversation>().Take(skip + count)];
        return fitting.Length == skip + count
            ? fitting[skip..]
            : throw new ArgumentException($"{path} has {fitting.Length} conversations that fit, not {skip + count}.");
    }

    private static Conversation? Make(string[] pair, Tokenizer tokenizer)
    {
        List<int> prompt = tokenizer.Encode(pair[0]);
        int answer = tokenizer.Encode(pair[1], addSpecialTokens: false).Count;
        bool fits = prompt.Count is >= Shortest and <= LongestPrompt && answer >= Shortest && prompt.Count + answer <= LongestPair;
        return fits ? new Conversation([new Turn([.. prompt], answer)]) : null;
    }

    private static List<string[]> Pairs(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            using JsonDocument document = JsonDocument.Parse(file);
            List<string[]> pairs = [];
            foreach (JsonElement entry in document.RootElement.EnumerateArray())
            {
                JsonElement messages = entry.GetProperty("conversations");
                if (messages.GetArrayLength() >= 2)
                {
                    pairs.Add([messages[0].GetProperty("value").GetString()!, messages[1].GetProperty("value").GetString()!]);
                }
            }

            return pairs;
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new ArgumentException($"{path} is not in ShareGPT's format: {exception.Message}");
        }
    }
}
