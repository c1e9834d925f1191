using System.Text;
using System.Text.Json.Nodes;
using LlamaServe.Models.Tests.Weights;
using LlamaServe.Models.Tokenization;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Tokenization;

public sealed class TokenizerFuzzTests
{
    private const int Rounds = 1000;

    /// <summary>An id may be up to 2²² − 1, for which the tables of a tiny file take this much.</summary>
    private const long MaxBytes = 256 << 20;

    private static readonly string[] Texts = [.. Enumerable.Range(0, 4).Select(seed => RandomText.Next(new Random(seed), 8))];

    [Test]
    public void Damaged_tokenizer_json_loads_or_is_refused()
    {
        JsonObject bytes = TinyTokenizers.ByteLevel("o n", "on c", "Ġ u");
        Trim(bytes, keep: 100);
        bytes["normalizer"] = new JsonObject { ["type"] = "NFC" };
        bytes["pre_tokenizer"] = JsonNode.Parse("""{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]}""");
        bytes["added_tokens"]!.AsArray().Add(TinyTokenizers.Added(300, "<s>", special: true, flag: "lstrip"));
        JsonObject pieces = TinyTokenizers.CodePoints(["▁", "a", "é"], "▁ a");
        Trim(pieces, keep: 40);
        using TemporaryFolder folder = new();
        foreach (JsonObject json in (JsonObject[])[bytes, pieces])
        {
            CheckpointFuzzing.Run(Encoding.UTF8.GetBytes(json.ToJsonString()), Rounds, text: true, MaxBytes, damaged =>
            {
                folder.Write("tokenizer.json", damaged);
                Use(TokenizerLoader.LoadSnapshot(folder.Path));
            });
        }
    }

    [Test]
    public void Damaged_tokenizer_config_json_loads_or_is_refused()
    {
        using TemporaryFolder folder = new();
        folder.Write("tokenizer.json", TinyTokenizers.CodePoints(["▁", "a"]).ToJsonString());
        byte[] config = """{"tokenizer_class": "LlamaTokenizer", "add_bos_token": true, "bos_token": {"content": "<s>"}, "eos_token": "</s>", "added_tokens_decoder": {"0": {"content": "<unk>", "special": true}}}"""u8.ToArray();
        CheckpointFuzzing.Run(config, Rounds, text: true, MaxBytes, damaged =>
        {
            folder.Write("tokenizer_config.json", damaged);
            Use(TokenizerLoader.LoadSnapshot(folder.Path));
        });
    }

    [Test]
    public void Damaged_tokenizer_model_loads_or_is_refused()
    {
        ProtobufWriter model = new();
        foreach ((string text, ulong kind) in (ReadOnlySpan<(string, ulong)>)[("<unk>", 2), ("<s>", 3), ("</s>", 3), ("<0x41>", 6), ("▁", 1), ("a", 1), ("▁a", 1), ("<br>", 4)])
        {
            model.Message(1, new ProtobufWriter().Text(1, text).Single(2, -text.Length).Number(3, kind));
        }
        byte[] whole = model.Message(2, new ProtobufWriter().Number(3, 2).Number(35, 1)).Message(3, new ProtobufWriter().Text(1, "identity").Number(4, 0)).ToArray();
        using TemporaryFolder folder = new();
        CheckpointFuzzing.Run(whole, 2 * Rounds, text: false, MaxBytes, damaged =>
        {
            folder.Write("tokenizer.model", damaged);
            Use(TokenizerLoader.LoadSnapshot(folder.Path));
        });
    }

    [Test]
    public void Damaged_GGUF_vocabularies_load_or_are_refused()
    {
        const string keys = "tokenizer.ggml.";
        using TemporaryFolder folder = new();
        foreach (string kind in (string[])["llama", "gpt2"])
        {
            byte[] whole = new GgufWriter().Key(keys + "model", kind).Key(keys + "tokens", new[] { "<unk>", "<s>", "a", "b", "ab", "▁", "<0x00>" })
                .Key(keys + "scores", new[] { 0f, 0, -1, -2, -3, -4, -5 }).Key(keys + "token_type", new[] { 2, 3, 1, 1, 1, 4, 6 }).Key(keys + "merges", new[] { "a b" })
                .Key(keys + "pre", "llama-bpe").Key(keys + "bos_token_id", 1u).Key(keys + "eos_token_id", 0u).ToBytes();
            CheckpointFuzzing.Run(whole, Rounds, text: false, MaxBytes, damaged =>
            {
                using GgufFile file = GgufFile.Open(folder.Write("model.gguf", damaged));
                Use(TokenizerLoader.Load(file.Metadata));
            });
        }
    }

    private static void Trim(JsonObject json, int keep)
    {
        JsonObject vocabulary = json["model"]!["vocab"]!.AsObject();
        string[] needed = ["o", "n", "c", "Ġ", "u", "on", "onc", "Ġu", "▁", "a", "▁a", "<unk>", "<s>", "</s>"];
        foreach (string token in vocabulary.Select(token => token.Key).Skip(keep).Except(needed).ToList())
        {
            vocabulary.Remove(token);
        }
    }

    private static void Use(Tokenizer tokenizer)
    {
        foreach (string text in Texts)
        {
            foreach (bool parse in (bool[])[false, true])
            {
                List<int> ids = tokenizer.Encode(text, parseSpecialTokens: parse);
                Assert.That(ids.TrueForAll(id => id >= 0 && id < tokenizer.VocabularySize), Is.True, "ids are inside the vocabulary");
                tokenizer.Decode([.. ids], skipSpecialTokens: parse);
            }
        }
    }
}
