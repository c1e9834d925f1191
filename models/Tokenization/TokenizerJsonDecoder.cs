using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// Reads tokenizer.json's decoder: how token texts spell bytes, and whether a text's first space is dropped. Unlike
/// Hugging Face's, damaged UTF-8 from byte tokens becomes U+FFFD only where it is damaged, as for byte-level BPE.
/// </summary>
internal static class TokenizerJsonDecoder
{
    private const int MaxSteps = 32;

    public static (TokenText Text, bool StripsLeadingSpace) Read(CheckpointJson json, bool byteLevel, bool byteFallback)
    {
        TokenText text = new(byteLevel, ByteFallback: false, SpaceMark: null);
        bool strips = false;
        foreach (CheckpointJson part in Flatten(json))
        {
            switch (part.Get("type").Text())
            {
                case "ByteLevel":
                    text = text with { ByteLevel = true };
                    break;
                case "ByteFallback":
                    text = text with { ByteFallback = byteFallback };
                    break;
                case "Replace" when part.Get("content").Text() == " ":
                    text = text with { SpaceMark = part.Get("pattern").Get("String").Text() is { Length: > 0 } mark ? mark : null };
                    break;
                case "Metaspace":
                    text = text with { SpaceMark = TokenText.LowerOneEighthBlock };
                    strips = part.Find("prepend_scheme") is not { IsNull: false } scheme || scheme.Text() != "never";
                    break;
                case "Strip" when part.Get("content").Text() == " " && part.Get("stop").Integer() == 0:
                    strips = part.Get("start").Integer() > 0;
                    break;
                case "Fuse":
                    break;
                case string type:
                    throw part.Get("type").Error($"is {CheckpointException.Quote(type)}, which is not supported in this form");
            }
        }
        return (text, strips);
    }

    private static List<CheckpointJson> Flatten(CheckpointJson json)
    {
        List<CheckpointJson> parts = json.IsNull ? [] : json.Get("type").Text() == "Sequence" ? [.. json.Get("decoders").Items().Take(MaxSteps + 1)] : [json];
        return parts.Count <= MaxSteps ? parts : throw json.Error("has too many parts");
    }
}
