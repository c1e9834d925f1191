using BenchmarkDotNet.Attributes;
using LlamaServe.Models.Tokenization;

namespace LlamaServe.Bench.Micro;

/// <summary>The bundled model's tokenizer, byte-level BPE of 4096 tokens, on English prose: the text of this repository's licence.</summary>
public class TokenizerBenchmarks : CalibratedBenchmarks
{
    private const int Repetitions = 8;

    private readonly Tokenizer _tokenizer = Load();
    private readonly string _text = string.Concat(Enumerable.Repeat(Text(), Repetitions));
    private readonly int[] _ids;

    /// <summary>Encodes the text once, for its ids.</summary>
    public TokenizerBenchmarks() => _ids = [.. _tokenizer.Encode(_text)];

    /// <summary>Tokens of the text that both benchmarks go through.</summary>
    internal static int TokenCount => Repetitions * Load().Encode(Text()).Count;

    /// <summary>Text of 90,000 characters to ids.</summary>
    [Benchmark]
    public int Encode() => _tokenizer.Encode(_text).Count;

    /// <summary>Its ids back to text, one at a time as they are streamed.</summary>
    [Benchmark]
    public int Detokenize()
    {
        IncrementalDetokenizer detokenizer = new(_tokenizer);
        int characters = 0;
        foreach (int id in _ids)
        {
            characters += detokenizer.Append(id).Length;
        }

        return characters + detokenizer.Flush().Length;
    }

    private static Tokenizer Load() => TokenizerLoader.LoadSnapshot(Path.Combine(Repository.Root, "models", "fairytale-5m"));

    private static string Text() => File.ReadAllText(Path.Combine(Repository.Root, "LICENSE"));
}
