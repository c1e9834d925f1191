using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>What tokenizer_config.json adds to the tokenizer's own file.</summary>
internal sealed record TokenizerConfig
{
    private const string FileName = "tokenizer_config.json";
    private const int MaxBytes = 1 << 24;

    public string? Bos { get; init; }

    public string? Eos { get; init; }

    public string? Unknown { get; init; }

    public string? Pad { get; init; }

    public bool? AddBos { get; init; }

    public bool? AddEos { get; init; }

    /// <summary>Its class reads <see cref="AddBos"/> and <see cref="AddEos"/> in place of tokenizer.json's template.</summary>
    public bool OverridesTemplate { get; init; }

    /// <summary>Tokens beyond those of tokenizer.model.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];

    public static TokenizerConfig LoadBeside(string directory)
    {
        string path = Path.Combine(directory, FileName);
        return File.Exists(path) ? Read(CheckpointJson.Load(path, MaxBytes)) : new TokenizerConfig();
    }

    private static TokenizerConfig Read(CheckpointJson json)
    {
        CheckpointJson tokenizerClass = json.Find("tokenizer_class");
        return new TokenizerConfig
        {
            Bos = Name(json.Find("bos_token")),
            Eos = Name(json.Find("eos_token")),
            Unknown = Name(json.Find("unk_token")),
            Pad = Name(json.Find("pad_token")),
            AddBos = json.Find("add_bos_token") is { IsNull: false } bos ? bos.Boolean() : null,
            AddEos = json.Find("add_eos_token") is { IsNull: false } eos ? eos.Boolean() : null,
            OverridesTemplate = !tokenizerClass.IsNull
                && tokenizerClass.Text() is "LlamaTokenizer" or "LlamaTokenizerFast" or "CodeLlamaTokenizer" or "CodeLlamaTokenizerFast",
            AddedTokens = json.Find("added_tokens_decoder") is { IsNull: false } added ? ReadAdded(added) : [],
        };
    }

    /// <summary>A token is given by its text or as an object with the text in <c>content</c>.</summary>
    private static string? Name(CheckpointJson token) => token.Kind switch
    {
        _ when token.IsNull => null,
        System.Text.Json.JsonValueKind.Object => token.Get("content").Text(),
        _ => token.Text(),
    };

    private static List<AddedToken> ReadAdded(CheckpointJson tokens)
    {
        List<AddedToken> added = [];
        foreach ((string key, CheckpointJson token) in tokens.Properties())
        {
            int id = int.TryParse(key, out int value) && value is >= 0 and < Vocabulary.MaxSize ? value : throw token.Error("has an impossible id");
            added.Add(AddedTokenJson.Read(token, id));
        }
        return AddedTokenJson.CheckTotal(added, tokens);
    }
}
