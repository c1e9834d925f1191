using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>Reads added tokens as tokenizer.json and tokenizer_config.json write them.</summary>
internal static class AddedTokenJson
{
    private const int MaxTotalChars = 1 << 21;

    public static AddedToken Read(CheckpointJson token, int id)
    {
        string content = token.Get("content").Text();
        return content.Length == 0
            ? throw token.Error("is empty")
            : new AddedToken(id, content, Flag(token, "special"), Flag(token, "single_word"), Flag(token, "lstrip"), Flag(token, "rstrip"),
                Flag(token, "normalized"));
    }

    /// <summary>Bounds the memory of the tree that finds the tokens.</summary>
    public static List<AddedToken> CheckTotal(List<AddedToken> tokens, CheckpointJson json) =>
        tokens.Sum(token => (long)token.Content.Length) <= MaxTotalChars ? tokens : throw json.Error("is too large");

    private static bool Flag(CheckpointJson token, string name) => token.Find(name) is { IsNull: false } flag && flag.Boolean();
}
