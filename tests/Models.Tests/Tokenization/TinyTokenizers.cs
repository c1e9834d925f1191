using System.Text.Json.Nodes;
using LlamaServe.Models.Tests.Weights;
using LlamaServe.Models.Tokenization;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Tokenization;

/// <summary>Makes small tokenizer.json files and loads them.</summary>
internal static class TinyTokenizers
{
    /// <summary>Byte-level BPE: ids 0 to 255 are the bytes in the alphabet's order of values, the merges' results follow.</summary>
    public static JsonObject ByteLevel(params string[] merges)
    {
        JsonObject json = JsonNode.Parse(ByteTokenizer.Json())!.AsObject();
        JsonObject model = json["model"]!.AsObject();
        json["added_tokens"] = new JsonArray();
        foreach (string merge in merges)
        {
            AddToken(model, merge.Replace(" ", "", StringComparison.Ordinal));
            model["merges"]!.AsArray().Add(merge);
        }
        return json;
    }

    /// <summary>SentencePiece-like BPE: unknown 0, begin 1, end 2, 256 byte tokens from 3 on, then the pieces.</summary>
    public static JsonObject CodePoints(string[] pieces, params string[] merges)
    {
        JsonObject vocabulary = new() { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2 };
        for (int value = 0; value < 256; value++)
        {
            vocabulary[$"<0x{value:X2}>"] = 3 + value;
        }
        JsonObject model = new()
        {
            ["type"] = "BPE",
            ["unk_token"] = "<unk>",
            ["fuse_unk"] = true,
            ["byte_fallback"] = true,
            ["vocab"] = vocabulary,
            ["merges"] = new JsonArray([.. merges.Select(merge => (JsonNode)merge)]),
        };
        foreach (string piece in pieces.Concat(merges.Select(merge => merge.Replace(" ", "", StringComparison.Ordinal))))
        {
            AddToken(model, piece);
        }
        return new JsonObject
        {
            ["added_tokens"] = new JsonArray(Added(0, "<unk>", special: true), Added(1, "<s>", special: true), Added(2, "</s>", special: true)),
            ["normalizer"] = JsonNode.Parse("""{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}"""),
            ["pre_tokenizer"] = null,
            ["decoder"] = JsonNode.Parse("""{"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}"""),
            ["model"] = model,
        };
    }

    public static JsonObject Added(int id, string content, bool special = false, string? flag = null)
    {
        JsonObject token = new() { ["id"] = id, ["content"] = content, ["special"] = special };
        if (flag is not null)
        {
            token[flag] = true;
        }
        return token;
    }

    public static void AddToken(JsonObject model, string token)
    {
        JsonObject vocabulary = model["vocab"]!.AsObject();
        if (!vocabulary.ContainsKey(token))
        {
            vocabulary[token] = vocabulary.Count;
        }
    }

    public static Tokenizer Load(JsonObject json, string? config = null)
    {
        using TemporaryFolder folder = new();
        folder.Write("tokenizer.json", json.ToJsonString());
        if (config is not null)
        {
            folder.Write("tokenizer_config.json", config);
        }
        return TokenizerLoader.LoadSnapshot(folder.Path);
    }

    /// <summary>The texts of the tokens that a text becomes, each decoded by itself, with <c>|</c> between.</summary>
    public static string Pieces(this Tokenizer tokenizer, string text, bool parseSpecialTokens = false) => string.Join('|', tokenizer
        .Encode(text, addSpecialTokens: false, parseSpecialTokens)
        .Select(id => tokenizer.Decode([id], skipSpecialTokens: false, continuesText: true)));
}
