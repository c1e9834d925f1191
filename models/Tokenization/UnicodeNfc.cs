using System.Collections;
using System.Runtime.InteropServices;
using System.Text;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// Unicode normalization form C (UAX #15) in time linear in the text. The runtime's own leaves text as it is where
/// globalization is invariant, as it is in this server.
/// </summary>
internal static class UnicodeNfc
{
    /// <summary>Nothing below the first combining mark ever changes.</summary>
    private const char FirstCombiningMark = '\u0300';

    private const int HangulSyllable = 0xAC00, HangulLead = 0x1100, HangulVowel = 0x1161, HangulTail = 0x11A7;
    private const int LeadCount = 19, VowelCount = 21, TailCount = 28;

    private static readonly UnicodeNfcTable Table = UnicodeNfcTable.Load();
    private static readonly BitArray MayChange = FindWhatMayChange();

    /// <summary>A quick check: false also for some text that normalization would leave as it is.</summary>
    public static bool IsCertainlyNormalized(ReadOnlySpan<char> text)
    {
        int first = text.IndexOfAnyInRange(FirstCombiningMark, char.MaxValue);
        if (first < 0)
        {
            return true;
        }
        foreach (Rune rune in text[first..].EnumerateRunes())
        {
            if (MayChange[rune.Value])
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>The normalized text; a lone surrogate becomes U+FFFD.</summary>
    public static string Normalize(ReadOnlySpan<char> text)
    {
        List<int> codePoints = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            Decompose(rune.Value, codePoints);
        }
        Order(codePoints);
        StringBuilder normalized = new(text.Length);
        Span<char> utf16 = stackalloc char[2];
        foreach (int codePoint in codePoints[..Compose(CollectionsMarshal.AsSpan(codePoints))])
        {
            normalized.Append(utf16[..new Rune(codePoint).EncodeToUtf16(utf16)]);
        }
        return normalized.ToString();
    }

    private static void Decompose(int codePoint, List<int> output)
    {
        int syllable = codePoint - HangulSyllable;
        if (syllable is >= 0 and < LeadCount * VowelCount * TailCount)
        {
            output.Add(HangulLead + syllable / (VowelCount * TailCount));
            output.Add(HangulVowel + syllable / TailCount % VowelCount);
            if (syllable % TailCount != 0)
            {
                output.Add(HangulTail + syllable % TailCount);
            }
        }
        else if (Table.Decompositions.TryGetValue(codePoint, out int[]? parts))
        {
            Array.ForEach(parts, part => Decompose(part, output));
        }
        else
        {
            output.Add(codePoint);
        }
    }

    /// <summary>Sorts each run of combining marks by class, keeping the order of equals.</summary>
    private static void Order(List<int> codePoints)
    {
        for (int begin = 0; begin < codePoints.Count; begin++)
        {
            int end = begin;
            bool ordered = true;
            while (end < codePoints.Count && Table.Class(codePoints[end]) != 0)
            {
                ordered &= end == begin || Table.Class(codePoints[end - 1]) <= Table.Class(codePoints[end]);
                end++;
            }
            if (!ordered)
            {
                int[] sorted = [.. codePoints[begin..end].OrderBy(Table.Class)];
                for (int i = 0; i < sorted.Length; i++)
                {
                    codePoints[begin + i] = sorted[i];
                }
            }
            begin = end;
        }
    }

    /// <summary>Composes in place.</summary>
    /// <returns>How many code points are left.</returns>
    private static int Compose(Span<int> codePoints)
    {
        int count = 0;
        int starter = -1;
        int lastClass = 0;
        foreach (int codePoint in codePoints)
        {
            int combiningClass = Table.Class(codePoint);
            bool blocked = starter >= 0 && count - 1 > starter && (lastClass == 0 || lastClass >= combiningClass);
            if (starter >= 0 && !blocked && TryCompose(codePoints[starter], codePoint, out int composed))
            {
                codePoints[starter] = composed;
                continue;
            }
            starter = combiningClass == 0 ? count : starter;
            lastClass = combiningClass;
            codePoints[count++] = codePoint;
        }
        return count;
    }

    private static bool TryCompose(int first, int second, out int composed)
    {
        int lead = first - HangulLead, vowel = second - HangulVowel, tail = second - HangulTail;
        if (lead is >= 0 and < LeadCount && vowel is >= 0 and < VowelCount)
        {
            composed = HangulSyllable + (lead * VowelCount + vowel) * TailCount;
            return true;
        }
        int syllable = first - HangulSyllable;
        if (syllable is >= 0 and < LeadCount * VowelCount * TailCount && syllable % TailCount == 0 && tail is > 0 and < TailCount)
        {
            composed = first + tail;
            return true;
        }
        return Table.Compositions.TryGetValue((first, second), out composed);
    }

    private static BitArray FindWhatMayChange()
    {
        BitArray may = new(0x110000);
        foreach (int codePoint in Table.Decompositions.Keys.Except(Table.Compositions.Values).Concat(Table.Marks)
            .Concat(Table.Compositions.Keys.Select(pair => pair.Second))
            .Concat(Enumerable.Range(HangulVowel, VowelCount)).Concat(Enumerable.Range(HangulTail, TailCount)))
        {
            may[codePoint] = true;
        }
        return may;
    }
}
