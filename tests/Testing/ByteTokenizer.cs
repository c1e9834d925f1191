using System.Text.Json.Nodes;

namespace LlamaServe.Testing;

/// <summary>The tokenizer.json of tiny models: byte-level BPE without merges, one token a byte, then begin and end of text.</summary>
public static class ByteTokenizer
{
    public const int BosId = 256;
    public const int EosId = 257;

    /// <summary>Ids are the bytes' values, then <see cref="BosId"/> and <see cref="EosId"/>.</summary>
    public static string Json()
    {
        JsonObject vocabulary = [];
        for (int value = 0; value < 256; value++)
        {
            vocabulary[Symbol(value).ToString()] = value;
        }
        JsonObject byteLevel = new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = true };
        return new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(Special("<|begin|>", BosId), Special("<|end|>", EosId)),
            ["normalizer"] = null,
            ["pre_tokenizer"] = byteLevel,
            ["post_processor"] = null,
            ["decoder"] = byteLevel.DeepClone(),
            ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = vocabulary, ["merges"] = new JsonArray() },
        }.ToJsonString();
    }

    // GPT-2's printable stand-ins: printable Latin-1 bytes stand for themselves, the others for U+0100 and up, in order.
    private static char Symbol(int value)
    {
        return IsPrintable(value) ? (char)value : (char)(256 + Enumerable.Range(0, value).Count(earlier => !IsPrintable(earlier)));

        static bool IsPrintable(int b) => b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE;
    }

    private static JsonObject Special(string content, int id) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["special"] = true,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
    };
}
